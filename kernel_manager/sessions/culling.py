"""Which kernels to end: pure decisions about kernels that are not running anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveKernel:
    """A kernel as the decision sees it. ``last_used`` is in seconds, on the clock that also gives ``now``."""

    session_key: str
    user_id: str
    busy: bool
    last_used: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """No room can be made. ``reason`` is one sentence for the user that says what to do."""

    reason: str


def idle_too_long(kernels: Iterable[LiveKernel], now: float, idle_timeout: float) -> list[LiveKernel]:
    """Return the kernels that have been idle for ``idle_timeout`` seconds or more, the longest idle first."""
    return [kernel for kernel in _idle(kernels) if now - kernel.last_used >= idle_timeout]


def make_room(
    kernels: Iterable[LiveKernel], user_id: str, max_kernels: int, max_kernels_per_user: int
) -> list[LiveKernel] | Refusal:
    """Return the fewest kernels to end so that one more of ``user_id`` fits, or why none fits.

    Least recently used idle ones go first, never a busy one. Where the user's own limit is the one that
    is reached, the user's own kernels go; where it is the limit of all kernels, anybody's.
    """
    alive = list(kernels)
    own = [kernel for kernel in alive if kernel.user_id == user_id]
    leaving = _idle(own)[: _surplus(len(own), max_kernels_per_user)]
    if len(own) - len(leaving) >= max_kernels_per_user:
        return Refusal(_own_kernels_busy(max_kernels_per_user))
    others = [kernel for kernel in _idle(alive) if kernel not in leaving]
    leaving += others[: _surplus(len(alive) - len(leaving), max_kernels)]
    if len(alive) - len(leaving) >= max_kernels:
        return Refusal(_all_kernels_busy(max_kernels))
    return leaving


def _idle(kernels: Iterable[LiveKernel]) -> list[LiveKernel]:
    """Return the idle ones, least recently used first; the key makes the order the same every time."""
    return sorted((kernel for kernel in kernels if not kernel.busy), key=lambda kernel: (kernel.last_used, kernel.session_key))


def _surplus(count: int, limit: int) -> int:
    """How many have to go so that one more fits."""
    return max(0, count + 1 - limit)


def _own_kernels_busy(limit: int) -> str:
    return (
        f"You have as many kernels as one user may have ({limit}) and each of them is running a cell; "
        "wait until one is done, or interrupt or stop one, then try again."
    )


def _all_kernels_busy(limit: int) -> str:
    return (
        f"The service has as many kernels as it may have ({limit}) and each of them is running a cell; "
        "try again when one is done, or have the operator raise MAX_KERNELS."
    )
