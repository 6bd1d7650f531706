"""Processes and their memory, as Linux's /proc tells them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes. ``private`` is what would become free if the process ended."""

    resident: int
    private: int

    @classmethod
    def of(cls, pid: int) -> Memory:
        """Read a process's memory; raises OSError if it is gone or not ours to read."""
        return parse_rollup((_PROC / str(pid) / "smaps_rollup").read_text())

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.resident + other.resident, self.private + other.private)


def parse_rollup(text: str) -> Memory:
    """The sums in the text of a ``smaps_rollup``; raises ValueError if it is not one."""
    fields = dict(line.split(":", 1) for line in text.splitlines()[1:] if ":" in line)
    try:
        resident, clean, dirty = (int(fields[name].split()[0]) * 1024 for name in ("Rss", "Private_Clean", "Private_Dirty"))
    except (KeyError, IndexError) as exc:
        raise ValueError("not a smaps_rollup") from exc
    return Memory(resident, clean + dirty)


def memory_of_all(pids: list[int]) -> Memory:
    """The sum of several processes' memory. What only root may read, as a kernel's init, is left out, and that is said."""
    total = Memory(0, 0)
    for pid in pids:
        try:
            total += Memory.of(pid)
        except PermissionError:
            print(f"the memory of process {pid} is left out: only root may read it", file=sys.stderr)
    return total


def ancestors_in(pid: int, program: str) -> Iterator[int]:
    """The ancestors of a process, nearest first, as far as ``program`` is the name of what they run."""
    while (pid := _parent(pid)) > 1 and any(Path(word).name == program for word in _command(pid)):
        yield pid


def is_zygote(pid: int) -> bool:
    """Whether a process is the top of the processes that run the zygote's command: its forks bear the same one."""
    return "zygote" in _command(pid) and _command(_parent(pid)) != _command(pid)


def _parent(pid: int) -> int:
    # the name of the program, in parentheses, may hold spaces
    return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])


def _command(pid: int) -> list[str]:
    return (_PROC / str(pid) / "cmdline").read_text().split("\0")
