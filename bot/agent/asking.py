"""Asks the model within a turn: makes the conversation fit, passes on what streams, counts what it takes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from bot.agent.assistant import Assistant
from bot.agent.budget import fixed_tokens, request_tokens, text_tokens
from bot.agent.context import fit
from bot.agent.errors import BrokenStreamError, ContextTooLongError
from bot.agent.events import AgentEvent, TextDelta, TextWithdrawn, Warned
from bot.agent.items import Exchange, Item, Origin, complete
from bot.agent.models import protocol
from bot.agent.models.protocol import ModelRequest, ReplyDone, ReplyRestarted, TokenUsage
from bot.agent.prompt import Surroundings, system_prompt
from bot.agent.tools import TOOLS
from kernel_manager.sessions.session import Session

if TYPE_CHECKING:
    from bot.agent.agent import Agent

logger = logging.getLogger(__name__)

#: Of what a model reads, the part that is left for its answer.
_FOR_ANSWER = 0.2
_SMALLEST_BUDGET = 500.0
#: What is tried when the endpoint says that it is too long after all.
_SECOND_TRY = 0.5


class Asking:
    """The requests of one turn."""

    def __init__(self, agent: Agent, session: Session, assistant: Assistant, emit: Callable[[AgentEvent], None]) -> None:
        self._agent = agent
        self._session = session
        self._assistant = assistant
        self._emit = emit
        self._model = assistant.model or agent.options.model
        self._instructions: str | None = None
        self._warned_of_cut = False
        self._open: ModelRequest | None = None
        self._tokens = TokenUsage()
        self.requests = 0
        #: What came of a reply that is not whole.
        self.unfinished_text = ""

    @property
    def tokens(self) -> TokenUsage:
        """What the requests took; of one that is not over, or did not tell, what it must have taken."""
        return self._tokens + (self._estimated(self._open, self.unfinished_text) if self._open is not None else TokenUsage())

    async def ask(self, past: Sequence[Exchange], current: Sequence[Item], *, may_call: bool) -> ReplyDone:
        """Return the model's next reply. Raises ModelError."""
        exchanges = [*past, Exchange(tuple(complete(current)))]
        try:
            return await self._send(await self._request(exchanges, 1.0, may_call=may_call))
        except ContextTooLongError as exc:
            logger.warning("%s; it is shortened and asked again", exc)
            return await self._send(await self._request(exchanges, _SECOND_TRY, may_call=may_call))

    async def _request(self, exchanges: Sequence[Exchange], share: float, *, may_call: bool) -> ModelRequest:
        instructions = await self._prompt()
        wanted = (self._assistant.options.context_tokens or self._agent.options.context_tokens) * (1 - _FOR_ANSWER) * share
        budget = wanted / self._agent.calibration.factor(self._origin) - fixed_tokens(instructions, TOOLS)
        fitted = fit(exchanges, max(budget, _SMALLEST_BUDGET))
        if fitted.steps:
            logger.info("session %s: the conversation was shortened (%s)", self._session.session_id, ", ".join(fitted.steps))
        return ModelRequest(self._model, instructions, fitted.items, TOOLS, self._assistant.options.for_model, may_call)

    async def _prompt(self) -> str:
        if self._instructions is None:
            options = self._agent.options
            around = Surroundings(
                packages=options.packages,
                installs=options.installs,
                timeout=options.timeout,
                characters=options.output_characters,
                vision=options.eyes(self._assistant).vision,
                files=await self._session.files(),
            )
            self._instructions = system_prompt(self._assistant.name, self._assistant.instructions, around)
        return self._instructions

    async def _send(self, request: ModelRequest) -> ReplyDone:
        self.requests += 1
        self._open, self.unfinished_text = request, ""
        reply: ReplyDone | None = None
        async with aclosing(self._agent.client.stream(request)) as answer:
            async for event in answer:
                match event:
                    case protocol.TextDelta():
                        self.unfinished_text += event.text
                        self._emit(TextDelta(event.text))
                    case ReplyRestarted():
                        self.unfinished_text = ""
                        self._emit(TextWithdrawn(event.delay_s, event.reason))
                    case ReplyDone():
                        reply = event
        if reply is None:
            raise BrokenStreamError("the endpoint ended its answer without an end; ask again")
        self._count(request, reply)
        return reply

    def _count(self, request: ModelRequest, reply: ReplyDone) -> None:
        self._open, self.unfinished_text = None, ""
        if reply.usage is None:
            self._tokens += self._estimated(request, reply.text)
            return
        self._tokens += reply.usage
        if self._agent.calibration.learn(self._origin, request_tokens(request), reply.usage.input):
            self._warn_of_cut(request_tokens(request), reply.usage.input)

    def _warn_of_cut(self, estimated: float, reported: int) -> None:
        if self._warned_of_cut:
            return
        self._warned_of_cut = True
        text = (
            f"the endpoint read only {reported:,} of about {estimated:,.0f} tokens and dropped the rest; the operator has to "
            f"give the model more context (Ollama: OLLAMA_CONTEXT_LENGTH) or to lower OPENAI_CONTEXT_TOKENS to {reported:,}"
        )
        logger.warning("%s", text)
        self._emit(Warned(text))

    def _estimated(self, request: ModelRequest, text: str) -> TokenUsage:
        factor = self._agent.calibration.factor(self._origin)
        return TokenUsage(round(request_tokens(request) * factor), round(text_tokens(text) * factor))

    @property
    def _origin(self) -> Origin:
        return Origin(self._agent.client.base_url, self._model)
