"""A model that follows a script: for tests and for demonstrations, with no endpoint."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from bot.agent.errors import ModelError
from bot.agent.items import AssistantMessage, Item, ToolCall, ToolOutput, UserMessage, text_of
from bot.agent.models.protocol import ModelEvent, ModelRequest, ReplyDone, Stop, TextDelta, TokenUsage, Tool

_CHUNK = 16


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of the script: words, code to run, other calls; with an error, it breaks off after the words.

    ``code`` are cells for ``execute_python_code``; ``calls`` are names of tools and the text of their arguments.
    """

    text: str = ""
    code: Sequence[str] = ()
    calls: Sequence[tuple[str, str]] = ()
    error: ModelError | None = None
    stop: Stop | None = None
    usage: TokenUsage | None = None


#: A step of a script may look at the request before it decides, and may wait.
Step = Reply | Callable[[ModelRequest], Reply] | Callable[[ModelRequest], Awaitable[Reply]]


class ScriptedClient:
    """Gives one reply after the other and keeps the requests it got. When the script is over it answers with ``last_words``."""

    def __init__(self, script: Iterable[Step], *, last_words: str = "That is all.", model_names: list[str] | None = None) -> None:
        self._script = iter(script)
        self._last_words = last_words
        self._model_names = model_names
        self._calls = 0
        self.requests: list[ModelRequest] = []
        self.closed = False

    @property
    def base_url(self) -> str:
        """No endpoint."""
        return "scripted:"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """See the protocol."""
        self.requests.append(request)
        reply = await self._next(request)
        for start in range(0, len(reply.text), _CHUNK):
            yield TextDelta(reply.text[start : start + _CHUNK])
        if reply.error is not None:
            raise reply.error
        items: list[Item] = [AssistantMessage(reply.text)] if reply.text else []
        items += [self._call("execute_python_code", json.dumps({"code": code})) for code in reply.code]
        items += [self._call(name, arguments) for name, arguments in reply.calls]
        stop = reply.stop or ("tool_calls" if reply.code or reply.calls else "end")
        yield ReplyDone(tuple(items), stop, reply.usage)

    async def _next(self, request: ModelRequest) -> Reply:
        step = next(self._script, Reply(self._last_words))
        if isinstance(step, Reply):
            return step
        found = step(request)
        return found if isinstance(found, Reply) else await found

    def _call(self, name: str, arguments: str) -> ToolCall:
        self._calls += 1
        return ToolCall(f"call_{self._calls}", name, arguments)

    async def models(self) -> list[str] | None:
        """See the protocol."""
        return self._model_names

    async def aclose(self) -> None:
        """See the protocol."""
        self.closed = True


def last_answer(request: ModelRequest) -> str:
    """Return the text of the last tool output of a request; for steps of a script."""
    outputs = [item for item in request.items if isinstance(item, ToolOutput)]
    return text_of(outputs[-1].parts) if outputs else ""


def last_message(request: ModelRequest) -> str:
    """Return the text of the last message of a person; for steps of a script."""
    messages = [item for item in request.items if isinstance(item, UserMessage)]
    return text_of(messages[-1].parts) if messages else ""


def tool_names(tools: Sequence[Tool]) -> list[str]:
    """Return the names of tools."""
    return [tool.name for tool in tools]
