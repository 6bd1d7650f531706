"""The Responses API, stateless: nothing is stored at the endpoint, and its reasoning is handed back as it came."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from bot.agent.errors import BrokenStreamError
from bot.agent.items import AssistantMessage, Item, Origin, Part, Reasoning, Text, ToolCall, ToolOutput, UserMessage
from bot.agent.models.chat_completions import count
from bot.agent.models.chat_messages import data_url
from bot.agent.models.endpoint import Endpoint
from bot.agent.models.failures import stream_failure
from bot.agent.models.protocol import ModelEvent, ModelRequest, ReplyDone, Stop, TextDelta, TokenUsage, origin_of
from bot.agent.models.sdk import Event, Sdk

_ENDS = ("response.completed", "response.incomplete")


class ResponsesClient:
    """See the protocol."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._sdk = Sdk(endpoint)

    @property
    def base_url(self) -> str:
        """See the protocol."""
        return self._sdk.endpoint.shown_url

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """See the protocol."""
        origin = origin_of(self, request)
        arguments: dict[str, Any] = {
            "model": request.model,
            "instructions": request.instructions,
            "input": input_of(request.items, origin),
            "store": False,
        }
        if request.tools:
            arguments["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                    "strict": True,
                }
                for tool in request.tools
            ]
        reply = _Reply(origin)
        async with aclosing(self._sdk.stream(self._sdk.client.responses.create, arguments, _optional(request))) as events:
            async for event in events:
                if text := reply.take(event):
                    yield TextDelta(text)
        yield reply.done()

    async def models(self) -> list[str] | None:
        """See the protocol."""
        return await self._sdk.models()

    async def aclose(self) -> None:
        """See the protocol."""
        await self._sdk.aclose()


def _optional(request: ModelRequest) -> dict[str, Any]:
    options = request.options
    wanted = {
        "include": ["reasoning.encrypted_content"],
        "tool_choice": None if request.may_call or not request.tools else "none",
        "temperature": options.temperature,
        "reasoning": {"effort": options.reasoning_effort} if options.reasoning_effort else None,
        "max_output_tokens": options.max_output_tokens,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def input_of(items: Sequence[Item], origin: Origin) -> list[dict[str, Any]]:
    """Return the input of a request that goes to ``origin``; what came from there goes back as it was."""
    found = (_input_item(item, origin) for item in items)
    return [item for item in found if item is not None]


def _input_item(item: Item, origin: Origin) -> dict[str, Any] | None:
    match item:
        case UserMessage():
            return {"role": "user", "content": _content(item.parts)}
        case AssistantMessage():
            verbatim = item.extra if item.origin == origin else {}
            return dict(verbatim) or {"role": "assistant", "content": item.text}
        case Reasoning():
            return dict(item.payload) if item.origin == origin else None
        case ToolCall():
            verbatim = item.extra if item.origin == origin else {}
            plain = {"type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments}
            return {**verbatim, **plain}
        case ToolOutput():
            words_only = len(item.parts) == 1 and isinstance(item.parts[0], Text)
            output = item.parts[0].text if words_only and isinstance(item.parts[0], Text) else _content(item.parts)
            return {"type": "function_call_output", "call_id": item.call_id, "output": output}


def _content(parts: Sequence[Part]) -> list[dict[str, Any]]:
    return [
        {"type": "input_text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "input_image", "image_url": data_url(part), "detail": "auto"}
        for part in parts
    ]


class _Reply:
    """A reply as its events come."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._finished: list[Event] = []
        self._response: Mapping[str, Any] | None = None
        self._refused = False

    def take(self, event: Event) -> str:
        """Take in an event; return the text that it adds to the answer."""
        match event.get("type"):
            case "response.output_text.delta":
                return _string(event.get("delta"))
            case "response.refusal.delta":
                self._refused = True
                return _string(event.get("delta"))
            case "response.output_item.done" if isinstance(event.get("item"), Mapping):
                self._finished.append(event["item"])
            case "response.failed":
                raise self._failure(_mapping(_mapping(event.get("response")).get("error")))
            case "error":
                raise self._failure(_mapping(event.get("error")) or event)
            case kind if kind in _ENDS:
                self._response = _mapping(event.get("response"))
        return ""

    def _failure(self, error: Mapping[str, Any]) -> Exception:
        code = error.get("code") or error.get("type")
        said = _string(error.get("message")) or "no reason given"
        return stream_failure(_string(code), said, self._origin.base_url, self._origin.model)

    def done(self) -> ReplyDone:
        """Return the whole reply. Raises BrokenStreamError if its end is missing."""
        if self._response is None:
            raise BrokenStreamError(f"{self._origin.base_url} broke its answer off before the end; ask again")
        output = self._response.get("output")
        given = [item for item in output if isinstance(item, Mapping)] if isinstance(output, list) and output else self._finished
        items = [item for entry in given if (item := self._item(entry)) is not None]
        if any(entry.get("type") == "reasoning" for entry in given) and not any(isinstance(item, Reasoning) for item in items):
            # thinking that only an endpoint that stores it could know again: what it led to has to go without its ids
            items = [replace(item, extra={}) if isinstance(item, (AssistantMessage, ToolCall)) else item for item in items]
        return ReplyDone(tuple(items), self._stop(items), _usage(self._response.get("usage")))

    def _item(self, entry: Mapping[str, Any]) -> Item | None:
        match entry.get("type"):
            case "message":
                return self._message(entry)
            case "reasoning" if entry.get("encrypted_content") or entry.get("content"):
                return Reasoning(self._origin, dict(entry))
            case "function_call":
                call_id = _string(entry.get("call_id")) or _string(entry.get("id")) or f"call_{secrets.token_hex(6)}"
                return ToolCall(call_id, _string(entry.get("name")), _string(entry.get("arguments")), self._origin, dict(entry))
        return None

    def _message(self, entry: Mapping[str, Any]) -> AssistantMessage | None:
        content = entry.get("content")
        parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
        self._refused = self._refused or any(part.get("type") == "refusal" for part in parts)
        text = "".join(_string(part.get("text")) or _string(part.get("refusal")) for part in parts)
        return AssistantMessage(text, self._origin, dict(entry)) if text.strip() else None

    def _stop(self, items: Sequence[Item]) -> Stop:
        assert self._response is not None
        reason = _mapping(self._response.get("incomplete_details")).get("reason")
        if self._refused or reason == "content_filter":
            return "refused"
        if self._response.get("status") == "incomplete" or reason:
            return "length"
        return "tool_calls" if any(isinstance(item, ToolCall) for item in items) else "end"


def _usage(usage: Any) -> TokenUsage | None:
    if not isinstance(usage, Mapping):
        return None
    given, made = _mapping(usage.get("input_tokens_details")), _mapping(usage.get("output_tokens_details"))
    return TokenUsage(
        input=count(usage.get("input_tokens")),
        output=count(usage.get("output_tokens")),
        cached=count(given.get("cached_tokens")),
        reasoning=count(made.get("reasoning_tokens")),
    )


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
