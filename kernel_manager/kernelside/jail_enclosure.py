"""The enclosure that is a jail: see :mod:`jail` for what it is made of."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from . import jail, workspace
from .enclosure import Excess, Forked
from .jail import ending, supervisor
from .jail.script import Slot
from .workspace import WorkspaceLimits

#: What a kernel may use between cells, in processors: enough for a completion, too little for a miner.
BACKGROUND_CPUS = 0.2
#: Seconds between two looks at the memory, while a cell runs and while none does.
_MEMORY_WATCH_S = (0.03, 0.25)
#: Seconds between two looks at the working folder and at locks, at least; a look may take this part of the time.
_LOOK_S = 1.0
_LOOK_SHARE = 0.05


class JailEnclosure:
    """A jail that is planned; the process that :func:`spawn` forks enters it."""

    def __init__(self, plan: jail.Plan, workspace: WorkspaceLimits) -> None:
        self.plan = plan
        self._workspace = workspace
        self._look_at = 0.0
        self._fullness, self._hidden, self._locked = 0, False, False
        self._processes = "pid" in plan.policy.namespaces
        supervisor.socket_buffer()
        self.watch_s: tuple[float, float] | None = _MEMORY_WATCH_S if self._watches_memory else (_LOOK_S, _LOOK_S)

    @property
    def _watches_memory(self) -> bool:
        held = self.plan.group.held if self.plan.group is not None else frozenset()
        return self._processes and not {"memory", "pids"} <= held

    def enter(self, init_keeps: Sequence[int], kernel_keeps: Sequence[int]) -> None:
        """See :class:`~.enclosure.Enclosure`."""
        group = self.plan.group.descriptors() if self.plan.group is not None else []
        self.plan = replace(self.plan, init_keeps=(0, 1, *init_keeps, *group), kernel_keeps=(0, *kernel_keeps))
        jail.enter(self.plan)
        if not self._processes:
            ending.adopt_orphans()

    def fork(self) -> Forked:
        """See :class:`~.enclosure.Enclosure`."""
        kernel = jail.start_kernel(self.plan)
        if kernel.pid == 0:
            _set_up_home(os.environ.get("HOME", ""))
        return Forked(kernel.pid, kernel.wait)

    def trusts(self, client: socket.socket) -> bool:
        """See :class:`~.enclosure.Enclosure`. The folder that the socket lies in is out of the jail's sight, and private."""
        return True

    def excess(self) -> Excess | None:
        """See :class:`~.enclosure.Enclosure`."""
        limits = self.plan.policy.limits
        if self._watches_memory:
            over = supervisor.excess(supervisor.measure(limits.memory, not self.plan.policy.network), limits)
            if over is not None:
                return Excess(over, grave=True)
        self._look_around()
        if self._locked:
            return Excess("memory", grave=True)
        return Excess("workspace", grave=self._fullness > 1) if self._fullness else None

    def _look_around(self) -> None:
        """Between two looks at what takes long to see, what the last one found holds."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at_workspace()
            self._look_at_locks()
            took = time.monotonic() - now
            self._look_at = now + max(_LOOK_S, took / _LOOK_SHARE)

    def _look_at_workspace(self) -> None:
        try:
            self._fullness, self._hidden = workspace.share(self._workspace), False
        except workspace.HiddenError:
            self._fullness, self._hidden = int(self._hidden), True

    def _look_at_locks(self) -> None:
        for descriptor in self.plan.build.opened(Slot.LOCKS) if self._watches_memory else ():
            self._locked = supervisor.has_too_many_locks(descriptor)

    def slow_down(self, slowed: bool) -> None:
        """See :class:`~.enclosure.Enclosure`."""
        cpus = self.plan.policy.limits.cpus
        if self.plan.group is not None and cpus is not None:
            with contextlib.suppress(jail.JailError):
                self.plan.group.set_cpus(min(BACKGROUND_CPUS, cpus) if slowed else cpus)

    def end_all(self) -> None:
        """See :class:`~.enclosure.Enclosure`."""
        if not self._processes:
            while not ending.drain():
                pass
            return
        while True:
            # all that this process can see but itself, at once: nothing can fork in between
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    def evidence(self) -> dict[str, Any]:
        """See :class:`~.enclosure.Enclosure`."""
        found: dict[str, Any] = {"memory_limit_bytes": self.plan.policy.limits.memory}
        if self.plan.group is not None:
            with contextlib.suppress(OSError):
                usage = self.plan.group.usage()
                found["oom_kills"] = usage.oom_kills or 0
                if usage.peak is not None:
                    found["peak_memory_bytes"] = usage.peak
        return found


def _set_up_home(home: str) -> None:
    """A home of the jail's own, with Matplotlib's list of fonts, which takes seconds to make."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None or not home:
        return
    cache = os.path.join(home, ".cache", "matplotlib")
    with contextlib.suppress(OSError):
        os.makedirs(cache, exist_ok=True)
        known = matplotlib.get_cachedir()
        for name in os.listdir(known):
            if name.startswith("fontlist"):
                os.symlink(os.path.join(known, name), os.path.join(cache, name))
