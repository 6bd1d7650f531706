"""Places that have had their time: sessions of deleted threads, and those that a server's administrators want gone."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from bot.places import Place
from bot.service import Service
from kernel_manager.errors import UnknownSessionError

logger = logging.getLogger(__name__)


async def sweep(service: Service, guild_id: int | None = None) -> list[Place]:
    """Remove what has had its time, of one server or of all; return what went. Raises DatabaseError, StorageError."""
    removed = []
    for place in await service.places.all():
        if guild_id in (None, place.guild_id) and await _has_had_its_time(service, place):
            await (service.clear(place) if place.ended_at is None else service.remove(place))
            logger.info("removed the sessions of place %s of user %s", place.channel_id, place.user_id)
            removed.append(place)
    return removed


async def _has_had_its_time(service: Service, place: Place) -> bool:
    if place.ended_at is not None:
        return service.clock() - place.ended_at >= timedelta(days=service.settings.ended_session_days)
    conversation = service.running(place.channel_id)
    days = [rules.session_days for rules in await service.gate.rules.holding(place.guild_id) if rules.session_days is not None]
    if not days or (conversation is not None and conversation.busy):
        return False
    used = await _last_used(service, place)
    return used is not None and datetime.now(UTC) - used >= timedelta(days=min(days))


async def _last_used(service: Service, place: Place) -> datetime | None:
    """When something was last written into the history of a place's session; None if there is none."""
    try:
        session = await service.interpreter.session(place.user_id, place.session_id, create=False)
        return datetime.fromtimestamp((session.folder / "history.jsonl").stat().st_mtime, UTC)
    except (UnknownSessionError, FileNotFoundError):
        return None
