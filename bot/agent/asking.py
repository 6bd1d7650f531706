"""Asks the model within a turn: makes the conversation fit, passes on what streams, counts what it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.agent.assistant import Assistant
from bot.agent.budget import Read, fixed_tokens, least_tokens, request_tokens, text_tokens
from bot.agent.context import Fitted, fit, without_figures
from bot.agent.errors import BrokenStreamError, ContextTooLongError, ModelError, NoVisionError
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
#: A model that reads less is not told of every package.
_ROOMY = 8_000
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
        self._read: Read | None = None
        self._shrunk: Sequence[Exchange] | None = None
        self._open: ModelRequest | None = None
        self._tokens = TokenUsage()
        self.requests = 0
        #: What came of a reply that is not whole; kept after a failure, for whoever saw it.
        self.unfinished_text = ""

    @property
    def tokens(self) -> TokenUsage:
        """What the requests took; of one that is not over, or did not tell, what it must have taken."""
        return self._tokens + (self._estimated(self._open, self.unfinished_text) if self._open is not None else TokenUsage())

    async def ask(self, past: Sequence[Exchange], current: Sequence[Item], *, may_call: bool) -> ReplyDone:
        """Return the model's next reply. Raises ModelError."""
        exchanges = [*past, Exchange(tuple(complete(current)))]
        calibration = self._agent.calibration
        most = self.room * (1 - _FOR_ANSWER)
        if (limit := calibration.limit(self._origin)) is not None:
            most = min(most, limit * (1 - _FOR_ANSWER))
        request = await self._request(exchanges, most, may_call=may_call)
        try:
            return await self._send_seen(request)
        except ContextTooLongError as exc:
            sent = request_tokens(request) * calibration.factor(self._origin)
            limit = calibration.too_long(self._origin, sent, exc.limit)
            logger.warning("%s; it is shortened and asked again (about %.0f tokens were too many)", exc, sent)
            # less than what was sent, not less than what might have been
            smaller = min(limit * (1 - _FOR_ANSWER), sent * _SECOND_TRY)
            return await self._send_seen(await self._request(exchanges, smaller, may_call=may_call))

    async def _send_seen(self, request: ModelRequest) -> ReplyDone:
        """Send it, and once more without pictures if the model turns out to take none."""
        blind = self._agent.calibration.blind
        plain = replace(request, items=tuple(map(without_figures, request.items)))
        if self._origin in blind or plain == request:
            return await self._send(plain)
        try:
            return await self._send(request)
        except NoVisionError as exc:
            blind.add(self._origin)
            self._warn(f"{exc}; the pictures were left out")
            return await self._send(plain)

    def _warn(self, text: str) -> None:
        logger.warning("%s", text)
        self._emit(Warned(text))

    async def _request(self, exchanges: Sequence[Exchange], most: float, *, may_call: bool) -> ModelRequest:
        instructions = await self._prompt()
        budget = most / self._agent.calibration.factor(self._origin) - fixed_tokens(instructions, TOOLS)
        fitted = self._fitted(exchanges, max(budget, _SMALLEST_BUDGET))
        if fitted.steps:
            logger.info("session %s: the conversation was shortened (%s)", self._session.session_id, ", ".join(fitted.steps))
        return ModelRequest(self._model, instructions, fitted.items, TOOLS, self._assistant.options.for_model, may_call)

    def _fitted(self, exchanges: Sequence[Exchange], budget: float) -> Fitted:
        """What fits; as long as it does, with the same beginning as in the round before, which the endpoint has cached."""
        if self._shrunk is not None:
            fitted = fit([*self._shrunk, exchanges[-1]], budget)
            if not fitted.steps:
                return fitted
        fitted = fit(exchanges, budget)
        self._shrunk = fitted.past if fitted.steps else None
        return fitted

    async def _prompt(self) -> str:
        if self._instructions is None:
            options = self._agent.options
            packages = await asyncio.to_thread(self._agent.packages)
            roomy = self.room >= _ROOMY
            around = Surroundings(
                packages=packages.there if roomy else packages.there[:8],
                installable=packages.installable if roomy else packages.installable[:4],
                rounds=options.rounds,
                timeout=options.timeout,
                characters=options.output_characters,
                vision=options.eyes(self._assistant).vision and self._origin not in self._agent.calibration.blind,
                files=await self._session.files(),
            )
            self._instructions = system_prompt(self._assistant.name, self._assistant.instructions, around)
        return self._instructions

    async def _send(self, request: ModelRequest) -> ReplyDone:
        self.requests += 1
        self._open, self.unfinished_text = request, ""
        try:
            reply = await self._follow(request)
        except ModelError:
            self._count_broken(request)
            self._open = None
            raise
        self._count(request, reply)
        return reply

    async def _follow(self, request: ModelRequest) -> ReplyDone:
        reply: ReplyDone | None = None
        async with aclosing(self._agent.client.stream(request)) as answer:
            async for event in answer:
                match event:
                    case protocol.TextDelta():
                        self.unfinished_text += event.text
                        self._emit(TextDelta(event.text))
                    case ReplyRestarted():
                        if not event.same_reply:
                            self._count_broken(request)
                        self.unfinished_text = ""
                        self._emit(TextWithdrawn(event.delay_s, event.reason))
                    case ReplyDone():
                        reply = event
        if reply is None:
            raise BrokenStreamError("the endpoint ended its answer without an end; ask again")
        return reply

    def _count_broken(self, request: ModelRequest) -> None:
        """Count a reply that broke off after something had come of it: one that was refused cost nothing."""
        if self.unfinished_text:
            self._tokens += self._estimated(request, self.unfinished_text)

    def _count(self, request: ModelRequest, reply: ReplyDone) -> None:
        self._open, self.unfinished_text = None, ""
        if reply.usage is None:
            self._tokens += self._estimated(request, reply.text)
            return
        self._tokens += reply.usage
        if self._agent.calibration.learn(self._origin, request, reply.usage.input, self._read):
            self._warn_of_cut(request_tokens(request), reply.usage.input)
        self._read = Read(least_tokens(request), reply.usage.input)

    def _warn_of_cut(self, estimated: float, reported: int) -> None:
        if self._warned_of_cut:
            return
        self._warned_of_cut = True
        text = (
            f"the endpoint read only {reported:,} of about {estimated:,.0f} tokens and dropped the rest; the operator has to "
            f"give the model more context (Ollama: OLLAMA_CONTEXT_LENGTH) or to lower OPENAI_CONTEXT_TOKENS to {reported:,}"
        )
        self._warn(text)

    def _estimated(self, request: ModelRequest, text: str) -> TokenUsage:
        factor = self._agent.calibration.factor(self._origin)
        return TokenUsage(round(request_tokens(request) * factor), round(text_tokens(text) * factor))

    @property
    def room(self) -> int:
        """How many tokens the model reads at once."""
        return self._assistant.options.context_tokens or self._agent.options.context_tokens

    @property
    def _origin(self) -> Origin:
        return Origin(self._agent.client.base_url, self._model)
