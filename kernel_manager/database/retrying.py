"""Bounded retries for a database behind a network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds before each further attempt.
WAITS_S = (0.1, 0.4, 1.5)


async def retried(
    work: Callable[[], Awaitable[T]],
    is_transient: Callable[[Exception], bool],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """Do the work, again after each of :data:`WAITS_S` as long as it fails for a transient reason; raise the last failure."""
    for wait in WAITS_S:
        try:
            return await work()
        except Exception as exc:
            if not is_transient(exc):
                raise
        await sleep(wait)
    return await work()
