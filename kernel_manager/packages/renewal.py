"""Renews the kernel environment in the background, and removes the generations that nobody uses any more.

A new generation is built beside the current one, the users' overlays are made anew for it, and then it becomes the current one by
one rename. Live kernels stay on theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kernel_manager.errors import EnvironmentBuildError, StorageError
from kernel_manager.packages.desk import PackageDesk
from kernel_manager.packages.environments import Environment, Environments
from kernel_manager.packages.in_thread import in_thread

logger = logging.getLogger(__name__)

#: Seconds between two looks, and before the first: a command that ends soon has other things to do.
INTERVAL_S = 60.0
#: Seconds without a cell that make a moment a quiet one.
QUIET_S = 30.0
#: How long a renewal waits for a quiet moment.
PATIENCE = timedelta(days=1)
#: How long a failed renewal is not tried again.
RETRY_AFTER = timedelta(hours=1)
_REBUILDING_LIMIT_S = 1_800.0


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides whether to renew now. ``quiet_for`` is in seconds; ``failed_at`` is when a renewal failed last."""

    built_at: datetime
    now: datetime
    quiet_for: float
    failed_at: datetime | None = None


def is_due(situation: Situation, days: float) -> bool:
    """Whether to renew now: after ``days``, at a quiet moment, or at any if there was none for a day; 0 days: never."""
    if days <= 0:
        return False
    if situation.failed_at is not None and situation.now < situation.failed_at + RETRY_AFTER:
        return False
    due_at = situation.built_at + timedelta(days=days)
    if situation.now < due_at:
        return False
    return situation.quiet_for >= QUIET_S or situation.now >= due_at + PATIENCE


class Renewal:
    """See the module. ``quiet_for`` says for how many seconds nothing has run, ``clock`` gives the time in UTC."""

    def __init__(
        self,
        environments: Environments,
        desk: PackageDesk,
        days: float,
        quiet_for: Callable[[], float],
        clock: Callable[[], datetime],
    ) -> None:
        self._environments = environments
        self._desk = desk
        self._days = days
        self._quiet_for = quiet_for
        self._clock = clock
        self._failed_at: datetime | None = None

    async def look(self) -> Environment | None:
        """Renew if it is time, and tidy up; return the new environment if there is one."""
        current = await asyncio.to_thread(self._environments.current)
        if current is None:
            return None  # it is built when it is needed
        situation = Situation(datetime.fromisoformat(current.built_at), self._clock(), self._quiet_for(), self._failed_at)
        renewed = await self.renew() if is_due(situation, self._days) else None
        await self.tidy()
        return renewed

    async def renew(self) -> Environment | None:
        """Build a new generation and switch to it; a failure changes nothing, and is told in the log. Cancelling it ends it."""
        logger.info("renewing the kernel environment")
        try:
            environment = await in_thread(self._build)
        except (EnvironmentBuildError, StorageError) as exc:
            self._failed_at = self._clock()
            logger.warning("the kernel environment was not renewed, the present one stays: %s", exc)
            return None
        self._failed_at = None
        logger.info("kernel environment %s with %d packages", environment.generation, environment.package_count)
        return environment

    def _build(self, is_cancelled: Callable[[], bool]) -> Environment:
        return self._environments.build(is_cancelled=is_cancelled, before_switch=lambda new: self._rebuild(new, is_cancelled))

    def _rebuild(self, environment: Environment, is_cancelled: Callable[[], bool]) -> None:
        until = time.monotonic() + _REBUILDING_LIMIT_S
        for failure in self._desk.rebuild(environment.generation, is_cancelled, until):
            logger.warning("not rebuilt for the new environment, it is tried again when it is needed: %s", failure)

    async def tidy(self) -> None:
        """Remove generations that nobody uses, and what was installed for them."""
        for generation in await asyncio.to_thread(self._environments.remove_unused):
            logger.info("removed the kernel environment %s", generation)
        generations = await asyncio.to_thread(self._environments.generations)
        await asyncio.to_thread(self._desk.remove_orphans, generations)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look from time to time, as long as the context lasts."""
        task = asyncio.create_task(self._look_for_ever(), name="renewal of the kernel environment")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await self.look()
            except (OSError, StorageError, ValueError) as exc:
                logger.warning("looking after the kernel environment failed, it is tried again: %s", exc)
