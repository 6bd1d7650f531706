"""What goes wrong while a jail is built."""

from __future__ import annotations


class JailError(Exception):
    """One step of the jail could not be taken, so nothing may run in it.

    ``step`` names the protection and the step (``"mount namespace: mount /proc"``), ``reason`` what the operating system said.
    The message is one line.
    """

    def __init__(self, step: str, reason: object) -> None:
        super().__init__(f"jail: {step}: {reason}")
        self.step = step
        self.reason = str(reason)

    @property
    def protection(self) -> str:
        """The protection that is missing (``"mount namespace"``)."""
        return self.step.partition(":")[0]
