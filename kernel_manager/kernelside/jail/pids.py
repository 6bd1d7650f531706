"""Processes by number, as this process's /proc shows them."""

from __future__ import annotations

import os


def host_pid(init_pid: int, inner_pid: int) -> int | None:
    """The pid out here of the process that the jail of *init_pid* numbers *inner_pid*; None if it is gone."""
    return next((pid for pid in descendants(init_pid) if _innermost(pid) == inner_pid), None)


def descendants(pid: int) -> list[int]:
    """The processes below *pid*, parents first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (parent := _parent(int(name))) is not None:
            children.setdefault(parent, []).append(int(name))
    found = list(children.get(pid, ()))
    for child in found:
        found.extend(children.get(child, ()))
    return found


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _innermost(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return next((int(line.split()[-1]) for line in file if line.startswith("NSpid:")), None)
    except OSError:
        return None
