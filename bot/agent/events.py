"""What happens in a turn, as a tagged union: the bot, the console and tests consume the same stream.

A turn yields any number of these and ends with exactly one :class:`TurnEnded`. Between :class:`CodeStarted` and
:class:`CodeEnded` come what the code shows (:class:`OutputShown`) and what it asks (:class:`InputWanted`); figures and files
as they are in the end come right before CodeEnded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.agent.models.protocol import TokenUsage
from kernel_manager.execution.events import OutputEvent
from kernel_manager.execution.result import ExecutionResult, WrittenFile

#: How a turn ended: answered; stopped by the person; over a daily limit, so not begun; or not answered, for a reason.
TurnStatus = Literal["completed", "stopped", "limit", "failed"]


@dataclass(frozen=True, slots=True)
class TurnWaiting:
    """Another turn of the session, or another process, has to end first."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The answer grew by ``text``."""

    text: str


@dataclass(frozen=True, slots=True)
class TextWithdrawn:
    """The text since the last CodeEnded, or since the beginning, does not count; it comes again, in ``delay_s`` seconds."""

    delay_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class TextEnded:
    """A message of the model is whole, and in the session's history."""

    text: str


@dataclass(frozen=True, slots=True)
class CodeStarted:
    """The model wants this code run; ``number`` counts the cells of the turn from 1."""

    number: int
    code: str


@dataclass(frozen=True, slots=True)
class CodeRunning:
    """The kernel began to run the code; before that it waited, or packages were installed for it."""


@dataclass(frozen=True, slots=True)
class OutputShown:
    """The running code showed something, or changed what it had shown."""

    event: OutputEvent


@dataclass(frozen=True, slots=True)
class InputWanted:
    """The code waits in ``input()``; call ``answer(text)``, or ``answer(None)`` for end of file."""

    prompt: str
    password: bool
    answer: Callable[[str | None], None] = field(compare=False)


@dataclass(frozen=True, slots=True)
class PackagesInstalling:
    """Packages are being installed for the code; ``line`` says how far that is."""

    line: str


@dataclass(frozen=True, slots=True)
class PackagesInstalled:
    """These distributions were installed for the code, as ``name==version``."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FigureShown:
    """A figure as it is at the end of the cell; ``data`` is its mime bundle, ``description`` says what it shows, if known."""

    data: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class FileWritten:
    """The code wrote this file."""

    file: WrittenFile


@dataclass(frozen=True, slots=True)
class CodeEnded:
    """A cell is over."""

    number: int
    result: ExecutionResult


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the operator or the person should know; the turn goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """What a turn took. ``seconds`` are those that code ran; ``requests`` are those to the model."""

    tokens: TokenUsage = field(default_factory=TokenUsage)
    requests: int = 0
    runs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over; always the last event. ``text`` is the whole answer, ``reason`` says why there is none or not all."""

    status: TurnStatus
    text: str
    usage: TurnUsage
    reason: str | None = None


AgentEvent = (
    TurnWaiting
    | TextDelta
    | TextWithdrawn
    | TextEnded
    | CodeStarted
    | CodeRunning
    | OutputShown
    | InputWanted
    | PackagesInstalling
    | PackagesInstalled
    | FigureShown
    | FileWritten
    | CodeEnded
    | Warned
    | TurnEnded
)
