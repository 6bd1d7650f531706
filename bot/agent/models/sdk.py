"""The official ``openai`` SDK, as both adapters use it: requests that stream plain dictionaries, errors that say what to do."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx2
import openai

from bot.agent.errors import BadKeyError, EndlessAnswerError, EndpointDownError, ModelError
from bot.agent.models.endpoint import Endpoint
from bot.agent.models.failures import explain, refused_parameter

logger = logging.getLogger(__name__)

#: Sent where a custom endpoint was given no key: the SDK wants one, and servers without keys do not read it.
NO_KEY = "none"
MAX_MODELS = 2_000
#: Events and characters of one answer; the longest that models give have a tenth of it.
MAX_EVENTS = 1_000_000
MAX_CHARACTERS = 4_000_000
_ODD = (ValueError, TypeError, AttributeError, RecursionError)
_CONNECT_S = 10.0
_LISTING_S = 10.0

Event = dict[str, Any]
Create = Callable[..., Awaitable[Any]]


class Size:
    """How long an answer has become."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._where = f"{model} at {endpoint.shown_url}"
        self._events = 0
        self._characters = 0

    def add(self, event: Event) -> None:
        """Take in an event. Raises EndlessAnswerError when it is one too many."""
        self._events += 1
        self._characters += _characters(event)
        if self._events > MAX_EVENTS or self._characters > MAX_CHARACTERS:
            raise EndlessAnswerError(
                f"{self._where} does not come to an end; the operator has to look at the server, or to give the assistant "
                "`max_output_tokens`"
            )


def _characters(value: Any) -> int:
    match value:
        case str():
            return len(value)
        case dict():
            return sum(map(_characters, value.values()))
        case list():
            return sum(map(_characters, value))
    return 0


class Sdk:
    """One endpoint's connections. Its own retries are off: ours know what may be asked again."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.client = openai.AsyncOpenAI(
            api_key=endpoint.api_key or NO_KEY,
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=httpx2.Timeout(endpoint.timeout, connect=min(_CONNECT_S, endpoint.timeout)),
        )
        self._refused: set[tuple[str, str]] = set()

    async def stream(self, create: Create, arguments: Mapping[str, Any], optional: Mapping[str, Any]) -> AsyncGenerator[Event]:
        """Send a request and yield the events of its stream. Raises ModelError.

        ``optional`` arguments are left out from then on where the endpoint refuses them.
        """
        model = str(arguments.get("model", ""))
        left = {name: value for name, value in optional.items() if (model, name) not in self._refused}
        begun = False
        while True:
            try:
                size = Size(self.endpoint, model)
                async with await create(**arguments, **left, stream=True) as answer:
                    async for event in answer:
                        begun = True
                        found = event.to_dict(mode="python", exclude_unset=True, warnings=False)
                        size.add(found)
                        yield found
                return
            except openai.APIStatusError as exc:
                name = refused_parameter(exc, list(left))
                if begun or name is None:
                    raise explain(exc, self.endpoint, model, begun=begun) from exc
                logger.info("%s refuses %s for %s; it is left out from now on", self.endpoint.shown_url, name, model)
                self._refused.add((model, name))
                del left[name]
            except (openai.OpenAIError, httpx2.HTTPError, *_ODD) as exc:
                # the last ones: what came is no JSON, or of another shape than the API's
                raise explain(exc, self.endpoint, model, begun=begun) from exc

    async def models(self) -> list[str] | None:
        """Return the names of the endpoint's models; None if it has no such list. Raises ModelError."""
        try:
            page = await self.client.models.list(timeout=min(_LISTING_S, self.endpoint.timeout))
            return [str(model.id) for model in (page.data or [])[:MAX_MODELS]]
        except (openai.OpenAIError, httpx2.HTTPError, *_ODD) as exc:
            error = explain(exc, self.endpoint, "", begun=False)
            if isinstance(error, (BadKeyError, EndpointDownError)):
                raise error from exc
            return None

    async def aclose(self) -> None:
        """Close the connections."""
        with suppress(ModelError):
            await self.client.close()
