"""What a conversation with a model consists of: one list of items, whichever endpoint reads it.

Items are values; an adapter turns them into what its endpoint wants. An :class:`Exchange` is what one message of a person led to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture as bytes of the kind ``mime``; ``description`` stands for it where pictures cannot go."""

    mime: str
    content: bytes = field(repr=False)
    description: str = ""


Part = Text | Image


@dataclass(frozen=True, slots=True)
class Origin:
    """The endpoint and the model that something came from."""

    base_url: str
    model: str


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What a person said, or what the interpreter has to say between the turns."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the model said. ``extra`` is what its endpoint put beside the text; it goes back to ``origin`` only."""

    text: str
    origin: Origin | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What an endpoint wants back as it gave it, and nobody else may get. ``payload`` is as it came."""

    origin: Origin
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants to have called. ``arguments`` is the text that it wrote, which may be no JSON.

    ``extra`` are fields that the endpoint put beside the call (signatures); they go back to ``origin`` only.
    """

    call_id: str
    name: str
    arguments: str
    origin: Origin | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The answer to the call of that id."""

    call_id: str
    parts: tuple[Part, ...]


Item = UserMessage | AssistantMessage | Reasoning | ToolCall | ToolOutput


@dataclass(frozen=True, slots=True)
class Exchange:
    """A person's message and everything until the next one."""

    items: tuple[Item, ...]


def said(text: str) -> UserMessage:
    """Return a message of words only."""
    return UserMessage((Text(text),))


def text_of(parts: Sequence[Part]) -> str:
    """Return the words of the parts, with descriptions in place of pictures."""
    return "\n".join(part.text if isinstance(part, Text) else f"[figure: {part.description or 'not shown'}]" for part in parts)


def complete(items: Sequence[Item]) -> list[Item]:
    """Return the items with an answer right after the calls that have none, and without answers to no call.

    An endpoint refuses a conversation in which a call stays unanswered: after a crash or a stop the answer is made up here.
    """
    answered = {item.call_id for item in items if isinstance(item, ToolOutput)}
    known: set[str] = set()
    result: list[Item] = []
    open_calls: list[str] = []
    for item in items:
        if isinstance(item, ToolOutput) and item.call_id not in known:
            continue
        if not isinstance(item, (ToolCall, ToolOutput, Reasoning)):
            result += [ToolOutput(call_id, (Text(NOT_FINISHED),)) for call_id in open_calls]
            open_calls = []
        if isinstance(item, ToolCall):
            known.add(item.call_id)
            if item.call_id not in answered:
                open_calls.append(item.call_id)
        result.append(item)
    return [*result, *(ToolOutput(call_id, (Text(NOT_FINISHED),)) for call_id in open_calls)]


NOT_FINISHED = "[interrupted: the end of this call is not known; it may have run in part, or run still]"
