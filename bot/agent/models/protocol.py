"""What the agent wants of a model, and what it gets: the contract of all clients."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from bot.agent.items import AssistantMessage, Item, Origin, ToolCall

#: Why the model stopped: it is done, it wants tools called, its answer got too long, or the rest was filtered out.
Stop = Literal["end", "tool_calls", "length", "refused"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call. ``parameters`` is a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How the model is to answer; None leaves it to the endpoint."""

    temperature: float | None = None
    reasoning_effort: str | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request. With ``may_call`` false the model knows its tools but has to answer in words."""

    model: str
    instructions: str
    items: Sequence[Item]
    tools: Sequence[Tool] = ()
    options: ModelOptions = ModelOptions()
    may_call: bool = True


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens as the endpoint counts them; ``cached`` and ``reasoning`` are among ``input`` and ``output``."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
        )


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The answer grew by ``text``."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyRestarted:
    """What came of this reply so far does not count, because of ``reason``.

    It is asked for again in ``delay_s`` seconds; or the same reply goes on (``same_reply``), and only its text was not meant.
    """

    delay_s: float
    reason: str
    same_reply: bool = False


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The reply is whole; always the last event. ``usage`` is None if the endpoint did not tell."""

    items: tuple[Item, ...]
    stop: Stop
    usage: TokenUsage | None = field(default=None)

    @property
    def text(self) -> str:
        """What the model said."""
        return "\n\n".join(item.text for item in self.items if isinstance(item, AssistantMessage))

    @property
    def calls(self) -> list[ToolCall]:
        """The tools that it wants called, in order."""
        return [item for item in self.items if isinstance(item, ToolCall)]


ModelEvent = TextDelta | ReplyRestarted | ReplyDone


class ModelClient(Protocol):
    """An endpoint. The agent calls :meth:`stream` once for each round of a turn, and closes the client at the end."""

    @property
    def base_url(self) -> str:
        """The endpoint, without a key; with a model's name it is the origin of what that model sends."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Ask, and yield what comes; the last event is ReplyDone.

        Raises a :class:`~bot.agent.errors.ModelError`; then the reply does not count. Who stops iterating ends the request.
        """

    async def models(self) -> list[str] | None:
        """Return the names of the endpoint's models, or None if it does not tell. Raises ModelError."""

    async def aclose(self) -> None:
        """Close the connections."""


def origin_of(client: ModelClient, request: ModelRequest) -> Origin:
    """Return where the reply to a request comes from."""
    return Origin(client.base_url, request.model)
