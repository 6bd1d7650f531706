"""What is measured: each function takes the arena and returns rows."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from benchmarks import cells
from benchmarks.agent import agent
from benchmarks.arena import Arena, in_turns, kernels_of
from benchmarks.contestant import CellFailedError, Contestant, Kernel
from benchmarks.discord import rush
from benchmarks.exports import export
from benchmarks.processes import Memory, memory_of_all
from benchmarks.row import Row
from kernel_manager import Settings
from kernel_manager.interpreter import make_desk
from kernel_manager.packages.desk import PackageDesk, Place

Measure = Callable[[Arena], Awaitable[list[Row]]]

#: A kernel's threads do their last work of a cell after its reply.
_SETTLE_S = 0.5
_WARM_UP_CELLS = 20


async def first_figure(arena: Arena) -> list[Row]:
    """A new user's way to the first figure, with no kernel kept ready."""
    await _warm_up(arena)
    ours, plain = await in_turns(arena.plan.figures, partial(_first_figure, arena.ours), partial(_first_figure, arena.plain))
    return [Row("new user → first figure", "ms", ours, plain, target=1 / 10)]


async def _first_figure(side: Contestant) -> list[float]:
    began = time.perf_counter()
    kernel = await side.kernel()
    try:
        return [await kernel.show_figure(cells.FIGURE) - began]
    finally:
        await kernel.stop()


async def memory(arena: Arena) -> list[Row]:
    """Private memory of idle kernels. Several of each side live, so that neither pays alone for a shared library."""
    count = arena.plan.kernels_for_memory
    async with kernels_of(arena.ours, count) as ours, kernels_of(arena.plain, count) as plain:
        rows = [
            await _private_memory(
                "private memory, idle, pandas and matplotlib imported", ours, plain, cells.IMPORTS, target=1 / 4
            ),
            await _private_memory("private memory, idle, after a figure", ours, plain, cells.FIGURE),
        ]
        zygotes = await ours[0].shared_processes()
    # read when no kernel shares its pages any more: what keeping the zygote costs
    await asyncio.sleep(_SETTLE_S)
    memories = [Memory.of(pid) for pid in zygotes]
    return [
        *rows,
        Row("zygote, one for all kernels: private when no kernel lives", "MB", [float(memory.private) for memory in memories]),
        Row("zygote: resident", "MB", [float(memory.resident) for memory in memories]),
    ]


async def _private_memory(
    name: str, ours: Sequence[Kernel], plain: Sequence[Kernel], code: str, target: float | None = None
) -> Row:
    return Row(name, "MB", await _private_after(ours, code), await _private_after(plain, code), target)


async def _private_after(kernels: Sequence[Kernel], code: str) -> list[float]:
    for kernel in kernels:
        await kernel.execute(code)
    await asyncio.sleep(_SETTLE_S)
    return [float(memory_of_all(await kernel.processes()).private) for kernel in kernels]


async def round_trip(arena: Arena) -> list[Row]:
    """One small cell, again and again."""
    blocks = -(-arena.plan.round_trips // arena.plan.block)
    async with kernels_of(arena.ours, 1) as (ours,), kernels_of(arena.plain, 1) as (plain,):
        for kernel in (ours, plain):
            await _round_trips(kernel, _WARM_UP_CELLS)
        samples = await in_turns(
            blocks, partial(_round_trips, ours, arena.plan.block), partial(_round_trips, plain, arena.plan.block)
        )
    return [Row("`x = 1`, one round trip", "ms", *samples, target=1.15)]


async def _round_trips(kernel: Kernel, count: int) -> list[float]:
    samples = []
    for _ in range(count):
        began = time.perf_counter()
        await kernel.execute(cells.ASSIGNMENT)
        samples.append(time.perf_counter() - began)
    return samples


async def crowd(arena: Arena) -> list[Row]:
    """Many new users at once; the time is the wall time of all, per user."""
    plan = arena.plan
    await _warm_up(arena)
    name = f"{plan.ours_at_once} new users at once (plain: {plan.plain_at_once}), per user"
    ours, plain = await in_turns(
        plan.crowds, partial(_crowd, arena.ours, plan.ours_at_once), partial(_crowd, arena.plain, plan.plain_at_once)
    )
    return [Row(name, "ms", ours, plain, target=1 / 8)]


async def _crowd(side: Contestant, count: int) -> list[float]:
    async with kernels_of(side, count, start=False) as kernels:
        began = time.perf_counter()
        ends = await asyncio.gather(*(kernel.show_figure(cells.FIGURE) for kernel in kernels), return_exceptions=True)
        took = time.perf_counter() - began
    failures = [end for end in ends if isinstance(end, BaseException)]
    if failures:
        raise CellFailedError(f"{len(failures)} of {count} failed, the first with {failures[0]!r}")
    return [took / count]


async def start(arena: Arena) -> list[Row]:
    """A kernel alone, until it is ready for a cell."""
    await _warm_up(arena)
    ours, plain = await in_turns(arena.plan.starts, partial(_start, arena.ours), partial(_start, arena.plain))
    return [Row("kernel start, until it is ready", "ms", ours, plain)]


async def _start(side: Contestant) -> list[float]:
    began = time.perf_counter()
    kernel = await side.kernel()
    try:
        await kernel.start()
        return [time.perf_counter() - began]
    finally:
        await kernel.stop()


async def cold(arena: Arena) -> list[Row]:
    """The first figure on a machine where nothing of ours runs: the zygote has to be started."""
    numbers = iter(range(arena.plan.colds))

    async def ours() -> list[float]:
        async with arena.another_ours(f"c{next(numbers)}") as side:
            return await _first_figure(side)

    samples = await in_turns(arena.plan.colds, ours, partial(_first_figure, arena.plain))
    return [Row("first figure when nothing runs yet, zygote included", "ms", *samples)]


async def command(arena: Arena) -> list[Row]:
    """One small cell on a live kernel from a process of its own, the process's start and end included."""
    async with kernels_of(arena.ours, 1) as (ours,), kernels_of(arena.plain, 1) as (plain,):
        for kernel in (ours, plain):
            await kernel.execute(cells.ASSIGNMENT)
        samples = await in_turns(arena.plan.commands, partial(_command, ours), partial(_command, plain))
    return [Row("`threadbook run 'x = 1'` on a live kernel (plain: a jupyter_client script)", "ms", *samples)]


async def _command(kernel: Kernel) -> list[float]:
    program = kernel.command(cells.ASSIGNMENT)
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *program.arguments,
        env={**os.environ, **program.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise CellFailedError(f"{program.arguments[1:4]} ended with {process.returncode}: {' '.join(last)}")
    return [time.perf_counter() - began]


async def interrupt(arena: Arena) -> list[Row]:
    """From the interrupt of a sleeping cell until the cell is over."""
    async with kernels_of(arena.ours, 1) as (ours,), kernels_of(arena.plain, 1) as (plain,):
        for kernel in (ours, plain):
            await kernel.interrupt(cells.SLEEP)
        samples = await in_turns(arena.plan.interrupts, partial(_interrupt, ours), partial(_interrupt, plain))
    return [Row("interrupt of a sleeping cell", "ms", *samples)]


async def _interrupt(kernel: Kernel) -> list[float]:
    return [await kernel.interrupt(cells.SLEEP)]


async def packages(arena: Arena) -> list[Row]:
    """A package that is installed because a cell imports it, and what every cell pays for being looked at."""
    await _install(arena)  # fills uv's cache
    installs = [await _install(arena) for _ in range(arena.plan.installs)]
    workspace = arena.folder / "nothing"
    desk = make_desk(Settings(data_dir=arena.folder / "data", environments_dir=arena.environment.root.parent))
    place = Place("nobody", arena.environment.generation, workspace)
    checks = [_check(desk, place) for _ in range(arena.plan.checks)]
    return [
        Row("`import seaborn` in a live kernel that lacks it, warm cache (≤ 3,000 ms)", "ms", installs),
        Row("looking what a cell of 30 lines lacks, which is nothing (≤ 2 ms)", "ms", checks),
    ]


async def _install(arena: Arena) -> float:
    kernel = await arena.ours.kernel()
    try:
        await kernel.start()
        began = time.perf_counter()
        await kernel.execute(cells.LACKING)
        return time.perf_counter() - began
    finally:
        await kernel.stop()


def _check(desk: PackageDesk, place: Place) -> float:
    began = time.perf_counter()
    shortage = desk.missing_in(cells.THIRTY_LINES, place)
    took = time.perf_counter() - began
    if shortage.wanted:
        raise CellFailedError("the environment lacks what the cell imports")
    return took


async def load(arena: Arena) -> list[Row]:
    """Large tables by ``load_file`` and by the call that an expert would write, both in one of our kernels."""
    rows = []
    async with kernels_of(arena.ours, 1) as (kernel,):
        await kernel.execute(cells.TABLES)
        for name, (ours, by_hand) in cells.LOADS.items():
            for code in (ours, by_hand):
                await kernel.execute(f"frame = {code}")
            samples = await in_turns(arena.plan.loads, partial(_load, kernel, ours), partial(_load, kernel, by_hand))
            rows.append(Row(f"`load_file`: {name} (plain: pandas by hand)", "ms", *samples, target=1.1))
    return rows


async def _load(kernel: Kernel, code: str) -> list[float]:
    began = time.perf_counter()
    await kernel.execute(f"frame = {code}")
    return [time.perf_counter() - began]


async def _warm_up(arena: Arena) -> None:
    """Have the one-time work of both sides done: the zygote, the profile folder, what the system reads from disk."""
    for side in (arena.ours, arena.plain):
        await _first_figure(side)


async def jail(arena: Arena) -> list[Row]:
    """What the jail adds: kernels with it, and without it in the place of the other side."""
    count = arena.plan.kernels_for_memory
    async with arena.another_ours("j", "auto") as inside, arena.another_ours("n", "none") as outside:
        for side in (inside, outside):
            await _first_figure(side)
        starts = await in_turns(2 * arena.plan.starts, partial(_start, inside), partial(_start, outside))
        async with kernels_of(inside, count) as ours, kernels_of(outside, count) as plain:
            private, without = await _private_after(ours, cells.IMPORTS), await _private_after(plain, cells.IMPORTS)
    return [
        Row("kernel start in the jail (plain: SANDBOX=none)", "ms", *starts, most=0.040),
        Row("private memory, idle, in the jail (plain: SANDBOX=none)", "MB", private, without, most=3e6),
    ]


async def bombs(arena: Arena) -> list[Row]:
    """One user's small cell while another user's code does its worst, and before (in the place of the other side)."""
    rows = []
    for name, code in cells.BOMBS.items():
        async with kernels_of(arena.ours, 1) as (kernel,):
            await _round_trips(kernel, _WARM_UP_CELLS)
            before = await _round_trips(kernel, arena.plan.bombed)
            bomber = await arena.ours.kernel()
            await bomber.start()
            async with bomber.running(code):
                during = await _round_trips(kernel, arena.plan.bombed)
        rows.append(Row(f"`x = 1` of another user during a {name} (plain: before it)", "ms", during, before, target=3))
    return rows


MEASURES: dict[str, Measure] = {
    "figure": first_figure,
    "memory": memory,
    "round-trip": round_trip,
    "crowd": crowd,
    "start": start,
    "cold": cold,
    "command": command,
    "interrupt": interrupt,
    "jail": jail,
    "bombs": bombs,
    "packages": packages,
    "export": export,
    "agent": agent,
    "load": load,
    "bot": rush,
}
