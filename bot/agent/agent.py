"""The agent: what its turns share, whoever talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from bot.agent.assistant import Assistant
from bot.agent.attachments import Attachment
from bot.agent.budget import Calibration
from bot.agent.models.protocol import ModelClient
from bot.agent.packages import PackageNames
from bot.agent.seen import Eyes
from bot.agent.turn import Turn
from bot.agent.usage import Account, UsageBook
from kernel_manager.sessions.session import Session

#: Returns what kernels have now, and may get; called in a thread.
PackagesNow = Callable[[], PackageNames]


@dataclass(frozen=True, slots=True)
class Message:
    """What a person said, with the files that came with it, which ``load_file`` finds already."""

    text: str
    name: str = "user"
    attachments: tuple[Attachment, ...] = ()
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How the agent works, whichever assistant answers.

    ``context_tokens`` is how much the model reads at once, ``timeout`` how many seconds a cell may run.
    """

    model: str
    rounds: int = 12
    context_tokens: int = 32_000
    vision: bool = False
    figure_pixels: int = 768
    output_characters: int = 8_000
    timeout: float = 300

    def eyes(self, assistant: Assistant) -> Eyes:
        """Return what an assistant's model can take in."""
        chosen = assistant.options.vision
        return Eyes(self.vision if chosen is None else chosen, self.figure_pixels, self.output_characters)


@dataclass(eq=False)
class Agent:
    """Answers messages in sessions. Whoever made the client and the database closes them."""

    client: ModelClient
    options: AgentOptions
    usage: UsageBook | None = None
    packages: PackagesNow = PackageNames
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.calibration = Calibration()
        self._lines: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def turn(
        self, session: Session, messages: Message | Sequence[Message], assistant: Assistant, account: Account | None = None
    ) -> Turn:
        """Return the turn that answers these messages; nothing happens until its events are asked for.

        ``account`` says who is charged, if not the session's user.
        """
        said = [messages] if isinstance(messages, Message) else list(messages)
        return Turn(self, session, said, assistant, account or Account((session.user_id,)))

    def line(self, session: Session) -> asyncio.Lock:
        """Return what a turn of the session holds while it runs, so that turns come one after the other."""
        return self._lines.setdefault((session.user_id, session.session_id), asyncio.Lock())
