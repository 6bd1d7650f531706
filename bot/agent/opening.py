"""The agent's composition root: from the settings to an agent with its endpoint, its assistants and its books."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from bot.agent.agent import Agent, AgentOptions, Message
from bot.agent.assistants import Assistants
from bot.agent.models.protocol import ModelClient
from bot.agent.models.selection import sees, select
from bot.agent.packages import PackageList
from bot.agent.turn import Turn
from bot.agent.usage import Account, DailyLimits, UsageBook
from kernel_manager.config import Settings
from kernel_manager.interpreter import Interpreter
from kernel_manager.sessions.session import Session


@dataclass(frozen=True, slots=True)
class OpenAgent:
    """An agent, and what belongs to it."""

    agent: Agent
    assistants: Assistants
    usage: UsageBook

    async def turn(
        self,
        session: Session,
        messages: Message | Sequence[Message],
        assistant_id: str | None = None,
        account: Account | None = None,
    ) -> Turn:
        """Return the turn that answers these messages, by the assistant of that id or the user's own choice.

        ``account`` says who is charged, if not the session's user. Raises UnknownAssistantError or DatabaseError.
        """
        chosen = self.assistants.get(assistant_id) if assistant_id else self.assistants.of_user(session.user_id)
        return self.agent.turn(session, messages, await chosen, account)


@contextlib.asynccontextmanager
async def open_agent(interpreter: Interpreter, *, client: ModelClient | None = None) -> AsyncIterator[OpenAgent]:
    """Open an agent with the interpreter's settings, database and files; ``client`` takes the place of the settings' endpoint.

    A client that is handed in stays open. Raises EndpointSettingsError if no endpoint is configured, UsageError for a
    broken assistant, DatabaseError.
    """
    settings = interpreter.settings
    async with contextlib.AsyncExitStack() as stack:
        options = options_of(settings, with_endpoint=client is None)
        if client is None:
            client = select(settings).open(settings.openai_max_retries)
            stack.push_async_callback(client.aclose)
        assistants = Assistants(interpreter.database, settings.assistants_dir)
        await assistants.start(client, options.model)
        usage = UsageBook(interpreter.database, DailyLimits(settings.daily_tokens_per_user, settings.daily_runs_per_user))
        yield OpenAgent(Agent(client, options, usage, PackageList(interpreter)), assistants, usage)


def options_of(settings: Settings, *, with_endpoint: bool = True) -> AgentOptions:
    """Return how the settings want the agent to work. Without an endpoint, the model is the client's own affair."""
    selection = select(settings) if with_endpoint else None
    return AgentOptions(
        model=selection.model if selection else settings.openai_model or "scripted",
        rounds=settings.max_rounds,
        context_tokens=settings.openai_context_tokens,
        vision=sees(settings, selection) if selection else settings.openai_vision == "on",
        figure_pixels=settings.model_figure_pixels,
        output_characters=settings.model_output_chars,
        timeout=settings.code_execution_timeout,
    )
