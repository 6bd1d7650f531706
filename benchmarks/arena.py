"""Where both sides meet: the same machine, the same kernel environment, in turns."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestant import Contestant, Kernel, make_folder
from benchmarks.ours import OurKernels, Sandbox
from benchmarks.plain import PlainKernels
from kernel_manager.packages.environments import Environment


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each thing is done. ``block`` round trips follow each other before the other side's turn."""

    figures: int = 15
    kernels_for_memory: int = 3
    round_trips: int = 400
    block: int = 25
    crowds: int = 3
    ours_at_once: int = 50
    plain_at_once: int = 10
    starts: int = 5
    colds: int = 3
    commands: int = 7
    interrupts: int = 7
    bombed: int = 40
    installs: int = 5
    checks: int = 200
    exports: int = 3
    exported_cells: int = 1_000
    agent_rounds: int = 15
    loads: int = 7
    threads_at_once: int = 50


QUICK = Plan(
    figures=3,
    kernels_for_memory=2,
    round_trips=200,
    crowds=1,
    ours_at_once=50,
    plain_at_once=4,
    starts=2,
    colds=1,
    commands=3,
    interrupts=3,
    bombed=20,
    installs=2,
    checks=50,
    exports=1,
    agent_rounds=5,
    loads=3,
)


@dataclass(frozen=True, slots=True)
class Arena:
    """Both sides, ready. ``folder`` is for what a measure needs besides."""

    ours: OurKernels
    plain: PlainKernels
    plan: Plan
    folder: Path
    environment: Environment

    def another_ours(self, name: str, sandbox: Sandbox = "auto") -> OurKernels:
        """Our side again, with nothing running yet."""
        return OurKernels(self.folder / name, self.environment.root.parent, sandbox=sandbox)


@contextlib.asynccontextmanager
async def open_arena(folder: Path, environment: Environment, plan: Plan) -> AsyncIterator[Arena]:
    """Open both sides, each with its first kernel's one-time work (zygote, caches, profile) behind it."""
    environ = {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": str(environment.root / "cache" / "matplotlib"),
    }
    async with contextlib.AsyncExitStack() as stack:
        ours = await stack.enter_async_context(OurKernels(make_folder(folder / "o"), environment.root.parent))
        plain = await stack.enter_async_context(PlainKernels(environment.python, environ, make_folder(folder / "p")))
        yield Arena(ours, plain, plan, folder, environment)


@contextlib.asynccontextmanager
async def kernels_of(side: Contestant, count: int, *, start: bool = True) -> AsyncIterator[list[Kernel]]:
    """Kernels of new users, ended afterwards."""
    kernels = [await side.kernel() for _ in range(count)]
    try:
        for kernel in kernels if start else ():
            await kernel.start()
        yield kernels
    finally:
        for kernel in kernels:
            await kernel.stop()


async def in_turns(
    times: int, ours: Callable[[], Awaitable[list[float]]], plain: Callable[[], Awaitable[list[float]]]
) -> tuple[list[float], list[float]]:
    """Take samples from both sides, the one that begins alternating, so that neither has the better half of the time."""
    samples: tuple[list[float], list[float]] = ([], [])
    for _, order in zip(range(times), itertools.cycle([(0, 1), (1, 0)]), strict=False):
        for side in order:
            samples[side].extend(await (ours, plain)[side]())
    return samples
