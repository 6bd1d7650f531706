"""Asks again when that may help: after 429, 5xx, a connection that broke off. The wait grows, and the endpoint's wish counts."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from bot.agent.errors import ModelError
from bot.agent.models.protocol import ModelClient, ModelEvent, ModelRequest, ReplyDone, ReplyRestarted

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
#: An endpoint that wants to be left alone for longer is not waited for: a person is waiting, too.
LONGEST_WISH_S = 60.0


class RetryingClient:
    """A client that asks another one up to ``retries`` times more.

    Tools run only when a reply is whole. So of a reply that breaks off none did, and it can be asked for again; what was
    shown of it is withdrawn with :class:`ReplyRestarted`.
    """

    def __init__(
        self,
        client: ModelClient,
        retries: int = 4,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        spread: Callable[[], float] = random.random,
    ) -> None:
        """``spread`` returns a number from 0 to 1 that keeps many clients from asking again at the same moment."""
        self._client = client
        self._retries = retries
        self._sleep = sleep
        self._spread = spread

    @property
    def base_url(self) -> str:
        """The other client's."""
        return self._client.base_url

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """See the protocol."""
        attempt = 0
        while True:
            try:
                async with aclosing(self._client.stream(request)) as events:
                    async for event in events:
                        yield event
                        if isinstance(event, ReplyDone):
                            return
                return
            except ModelError as exc:
                delay = self._delay(exc, attempt)
                if delay is None:
                    raise
                logger.info("%s; asked again in %.1f s", exc, delay)
                yield ReplyRestarted(delay, str(exc))
            await self._sleep(delay)
            attempt += 1

    def _delay(self, exc: ModelError, attempt: int) -> float | None:
        if not exc.passing or attempt >= self._retries:
            return None
        if exc.retry_after is not None:
            return exc.retry_after if exc.retry_after <= LONGEST_WISH_S else None
        wait = min(FIRST_WAIT_S * 2.0**attempt, LONGEST_WAIT_S)
        return wait * (0.75 + 0.5 * self._spread())

    async def models(self) -> list[str] | None:
        """See the protocol."""
        return await self._client.models()

    async def aclose(self) -> None:
        """See the protocol."""
        await self._client.aclose()
