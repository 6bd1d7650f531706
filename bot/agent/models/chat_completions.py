"""Chat Completions: what nearly every endpoint speaks, each in its own accent."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from bot.agent.errors import BadRequestError, BrokenStreamError, RefusedError
from bot.agent.items import AssistantMessage, Item, Origin, Reasoning, ToolCall
from bot.agent.models.chat_messages import messages_of
from bot.agent.models.endpoint import Endpoint
from bot.agent.models.failures import stream_failure
from bot.agent.models.protocol import (
    ModelEvent,
    ModelRequest,
    ReplyDone,
    ReplyRestarted,
    Stop,
    TextDelta,
    TokenUsage,
    origin_of,
)
from bot.agent.models.sdk import Event, Sdk
from bot.agent.models.thinking import ThinkingFilter

logger = logging.getLogger(__name__)

MAX_CALLS = 64
_REASONING_FIELDS = ("reasoning_content", "reasoning")
#: What the error of an endpoint names that wants nothing back of what it put beside its answers.
_REPLAYED = re.compile(r"\breasoning(?:_content|_details)?\b|extra_content|thought_signature", re.IGNORECASE)
_THINKING = "what came so far was the model's thinking"


class ChatCompletionsClient:
    """See the protocol. ``output_limit_name`` is what the endpoint calls the longest answer: OpenAI renamed it."""

    def __init__(self, endpoint: Endpoint, *, output_limit_name: str = "max_tokens") -> None:
        self._sdk = Sdk(endpoint)
        self._no_replay: set[str] = set()
        self._output_limit_name = output_limit_name

    @property
    def base_url(self) -> str:
        """See the protocol."""
        return self._sdk.endpoint.shown_url

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """See the protocol."""
        try:
            async with aclosing(self._stream(request)) as events:
                async for event in events:
                    yield event
        except BadRequestError as exc:
            if request.model in self._no_replay or not _REPLAYED.search(str(exc)):
                raise
            # some give thinking and do not take it back; before an answer has begun, nothing of it was shown
            logger.info("%s does not take %s's thinking back; it is left out from now on", self.base_url, request.model)
            self._no_replay.add(request.model)
            async with aclosing(self._stream(request)) as events:
                async for event in events:
                    yield event

    async def _stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        origin = origin_of(self, request)
        messages = messages_of(request, origin, replay=request.model not in self._no_replay)
        arguments: dict[str, Any] = {"model": request.model, "messages": messages}
        if request.tools:
            arguments["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
                }
                for tool in request.tools
            ]
        reply = _Reply(origin)
        create = self._sdk.client.chat.completions.create
        async with aclosing(self._sdk.stream(create, arguments, self._optional(request))) as chunks:
            async for chunk in chunks:
                for event in reply.take(chunk):
                    yield event
        for event in reply.end():
            yield event

    def _optional(self, request: ModelRequest) -> dict[str, Any]:
        options = request.options
        wanted = {
            "stream_options": {"include_usage": True},
            "tool_choice": None if request.may_call or not request.tools else "none",
            "temperature": options.temperature,
            "reasoning_effort": options.reasoning_effort,
            self._output_limit_name: options.max_output_tokens,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    async def models(self) -> list[str] | None:
        """See the protocol."""
        return await self._sdk.models()

    async def aclose(self) -> None:
        """See the protocol."""
        await self._sdk.aclose()


class _Call:
    """A call as its pieces come. ``given_id`` is the endpoint's, which may be none or another call's, too."""

    def __init__(self, index: int | None, call_id: str, given_id: str) -> None:
        self.index = index
        self.call_id = call_id
        self.given_id = given_id
        self.name = ""
        self.arguments = ""
        self.extra: dict[str, Any] = {}


class _Reply:
    """A reply as its chunks come."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._filter = ThinkingFilter()
        self._text: list[str] = []
        self._calls: list[_Call] = []
        self._reasoning: dict[str, Any] = {}
        self._finish: str | None = None
        self._usage: TokenUsage | None = None
        self._refused = False

    def take(self, chunk: Event) -> list[ModelEvent]:
        """Take in a chunk; return what it says."""
        if isinstance(error := chunk.get("error"), Mapping):
            raise stream_failure(
                str(error.get("code")), str(error.get("message") or error), self._origin.base_url, self._origin.model
            )
        if isinstance(usage := chunk.get("usage"), Mapping):
            self._usage = _usage(usage)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            return []
        choice = choices[0]
        self._finish = choice.get("finish_reason") or self._finish
        delta = choice.get("delta")
        return self._take_delta(delta) if isinstance(delta, Mapping) else []

    def _take_delta(self, delta: Mapping[str, Any]) -> list[ModelEvent]:
        self._take_reasoning(delta)
        for piece in delta.get("tool_calls") or ():
            if isinstance(piece, Mapping):
                self._take_call(piece)
        if isinstance(refusal := delta.get("refusal"), str) and refusal:
            self._refused = True
            return self._say(refusal)
        return self._say(_text(delta.get("content")))

    def _say(self, text: str) -> list[ModelEvent]:
        was_withdrawn = self._filter.withdrawn
        shown = self._filter.feed(text) if text else ""
        events: list[ModelEvent] = []
        if self._filter.withdrawn and not was_withdrawn:
            self._text.clear()
            events.append(ReplyRestarted(0.0, _THINKING, same_reply=True))
        if shown:
            self._text.append(shown)
            events.append(TextDelta(shown))
        return events

    def _take_reasoning(self, delta: Mapping[str, Any]) -> None:
        for name in _REASONING_FIELDS:
            if isinstance(text := delta.get(name), str) and text:
                self._reasoning[name] = self._reasoning.get(name, "") + text
        if isinstance(details := delta.get("reasoning_details"), list):
            self._reasoning.setdefault("reasoning_details", []).extend(details)

    def _take_call(self, piece: Mapping[str, Any]) -> None:
        call = self._call_of(piece)
        function = piece.get("function")
        if isinstance(function, Mapping):
            if isinstance(name := function.get("name"), str) and name != call.name:
                call.name += name
            call.arguments += _arguments(function.get("arguments"))
        call.extra |= {name: value for name, value in piece.items() if name not in ("index", "id", "type", "function")}

    def _call_of(self, piece: Mapping[str, Any]) -> _Call:
        """The call that a piece belongs to. Some endpoints send no ids, some no indexes, some the same index for all."""
        index, call_id = piece.get("index"), piece.get("id") or ""
        function = piece.get("function")
        named = isinstance(function, Mapping) and bool(function.get("name"))
        for call in self._calls:
            # the id may be repeated in every fragment; some name all calls alike, and then the index tells them apart
            if call_id and call.given_id == call_id and (index is None or index == call.index):
                return call
        if index is not None and not (call_id and named):
            for call in reversed(self._calls):
                if call.index == index:
                    return call
        if self._calls and not call_id and not named:
            return self._calls[-1]
        if len(self._calls) >= MAX_CALLS:
            raise BrokenStreamError(f"the model wants more than {MAX_CALLS} tools called at once; ask again, or in smaller steps")
        taken = not call_id or any(call.call_id == call_id for call in self._calls)
        unique = f"call_{secrets.token_hex(6)}" if taken else str(call_id)
        self._calls.append(_Call(index if isinstance(index, int) else None, unique, str(call_id)))
        return self._calls[-1]

    def end(self) -> list[ModelEvent]:
        """Return what is left when the stream is over. Raises BrokenStreamError if its end is missing."""
        if self._finish is None:
            raise BrokenStreamError(f"{self._origin.base_url} broke its answer off before the end; ask again")
        events: list[ModelEvent] = []
        if rest := self._filter.end():
            self._text.append(rest)
            events.append(TextDelta(rest))
        items = self._items()
        if not items and self._finish == "content_filter":
            raise RefusedError("the model's provider refuses this content (content_filter); say it differently")
        return [*events, ReplyDone(tuple(items), self._stop(), self._usage)]

    def _items(self) -> list[Item]:
        items: list[Item] = [Reasoning(self._origin, self._reasoning)] if self._reasoning else []
        if text := "".join(self._text).strip():
            items.append(AssistantMessage(text))
        calls = [call for call in self._calls if call.name]
        return [*items, *(ToolCall(call.call_id, call.name, call.arguments, self._origin, call.extra) for call in calls)]

    def _stop(self) -> Stop:
        if self._refused or self._finish == "content_filter":
            return "refused"
        if self._finish == "length":
            return "length"
        # "stop" beside calls is common; "tool_calls" without any happens as well
        return "tool_calls" if self._calls else "end"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""


def _arguments(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, Mapping) else ""


def _usage(usage: Mapping[str, Any]) -> TokenUsage:
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return TokenUsage(
        input=count(usage.get("prompt_tokens")),
        output=count(usage.get("completion_tokens")),
        cached=count(prompt.get("cached_tokens")) if isinstance(prompt, Mapping) else 0,
        reasoning=count(completion.get("reasoning_tokens")) if isinstance(completion, Mapping) else 0,
    )


def count(value: Any) -> int:
    """Return a number of tokens that an endpoint reports; 0 if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else 0
