"""The Jupyter console that ``threadbook attach`` opens: ``python -m threadbook.attached --existing FILE``.

It is jupyter_console with one difference: leaving it, in whatever way, never ends the kernel, which belongs to the
session. Whoever starts it relays Ctrl-C to the kernel.
"""

from __future__ import annotations

import signal
from typing import Any

from jupyter_client.consoleapp import JupyterConsoleApp
from jupyter_console.app import ZMQTerminalIPythonApp  # type: ignore[import-untyped]
from jupyter_console.ptshell import ZMQTerminalInteractiveShell  # type: ignore[import-untyped]

_LEAVE = frozenset({"exit", "quit", "exit()", "quit()"})


class AttachedShell(ZMQTerminalInteractiveShell):  # type: ignore[misc]
    """A shell on a kernel that somebody else owns."""

    @property
    def keepkernel(self) -> bool:
        """Always: the code may ask for the kernel's end, but the console does not see to it."""
        return True

    @keepkernel.setter
    def keepkernel(self, wanted: bool) -> None:
        pass

    def run_cell(self, cell: str, store_history: bool = True) -> None:
        """See jupyter_console. What leaves IPython leaves the console, and does not reach the kernel."""
        if cell.strip() in _LEAVE:
            self.ask_exit()
        else:
            super().run_cell(cell, store_history)


class AttachedConsole(ZMQTerminalIPythonApp):  # type: ignore[misc]
    """The application around that shell."""

    def init_shell(self) -> None:
        """See jupyter_console; the shell is the one above."""
        JupyterConsoleApp.initialize(self)
        signal.signal(signal.SIGINT, self.handle_sigint)
        self.shell = AttachedShell.instance(parent=self, manager=None, client=self.kernel_client, confirm_exit=False)

    def handle_sigint(self, *arguments: Any) -> None:
        """Leave the kernel to the process that started us; at the prompt, begin a new line."""
        if not self.shell._executing:
            raise KeyboardInterrupt


if __name__ == "__main__":
    AttachedConsole.launch_instance()
