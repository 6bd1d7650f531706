"""Which protections this machine gives kernels: asked of the kernel environment's Python, which tries each."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_manager.config import Settings
from kernel_manager.errors import ServiceError
from kernel_manager.provisioning.factory import sandbox_demand
from kernel_manager.provisioning.launcher import KERNELSIDE, kernel_environ

#: Without these, strangers' code is not apart from the host and from each other's.
ISOLATION = frozenset({"user namespace", "pid namespace", "mount namespace", "network namespace"})
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Protection:
    """One protection: whether this machine gives it, by which means, and what to do where it does not."""

    name: str
    held: bool
    means: str
    advice: str


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What was found; ``sandbox`` is the setting."""

    sandbox: str
    protections: tuple[Protection, ...]

    @property
    def missing(self) -> tuple[Protection, ...]:
        """What this machine does not give."""
        return tuple(protection for protection in self.protections if not protection.held)

    @property
    def isolates(self) -> bool:
        """Whether kernels are apart from the host: user, process, mount and network namespaces."""
        held = {protection.name for protection in self.protections if protection.held}
        return self.sandbox != "none" and held >= ISOLATION

    @classmethod
    def of(cls, values: dict[str, Any]) -> SandboxReport:
        """Read what the kernel side reports."""
        return cls(str(values["sandbox"]), tuple(Protection(**protection) for protection in values["protections"]))


async def examine(settings: Settings, python: Path) -> SandboxReport:
    """Try every protection with the kernel environment's ``python``; takes about two seconds.

    With SANDBOX=none it is tried what there would be. Raises ServiceError if it cannot be tried at all.
    """
    if sys.platform != "linux":
        return SandboxReport(settings.sandbox, (Protection("jail", False, "none", "kernels are jailed on Linux only"),))
    wanted = settings if settings.sandbox != "none" else settings.model_copy(update={"sandbox": "auto"})
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-I", str(KERNELSIDE), "doctor", "--demand", sandbox_demand(wanted)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
        env=kernel_environ(python, Path("/nonexistent"), threads=False),
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
    except TimeoutError:
        process.kill()
        raise ServiceError("the sandbox cannot be examined: no answer within a minute; try again") from None
    try:
        values = json.loads(output)
    except ValueError:
        last = (errors.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise ServiceError(f"the sandbox cannot be examined ({last}); see the README's chapter on security") from None
    return SandboxReport.of({**values, "sandbox": settings.sandbox})
