"""A simulated Discord with the real bot, the real interpreter and a model that follows a script."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import discord
import pytest
import simcord
from simcord.builders import ChannelHandle, GuildHandle

from bot.agent.models.scripted import ScriptedClient, Step
from bot.client import ThreadbookBot, make_intents
from bot.service import Service, open_service
from kernel_manager import Interpreter, open_interpreter
from kernel_manager.packages.environments import Environment
from tests.integration.conftest import folder_for_kernels, make_settings
from tests.integration.support import PATIENCE, until

_numbers = itertools.count(1)


@dataclass
class Stage:
    """Discord as people use it, with a bot on it. ``model`` is what the bot's model does."""

    env: simcord.Env
    guild: GuildHandle
    channel: ChannelHandle
    interpreter: Interpreter
    service: Service
    model: ScriptedClient
    _members: dict[str, simcord.MemberActor] = field(default_factory=dict)

    def member(self, name: str = "ada") -> simcord.MemberActor:
        if name not in self._members:
            self._members[name] = self.guild.add_member(self.env.create_user(name))
        return self._members[name]

    def admin(self) -> simcord.MemberActor:
        """A member who may manage the server."""
        role = self.guild.create_role("admins", permissions=discord.Permissions(manage_guild=True))
        return self.guild.add_member(self.env.create_user("admin"), roles=[role])

    def operator(self) -> simcord.MemberActor:
        """A member who runs the service, and is nothing special on the server."""
        made = self.member("operator")
        self.service.settings = self.service.settings.model_copy(update={"discord_operators": (made.id,)})
        return made

    @property
    def mention(self) -> str:
        assert self.env.bot.user is not None
        return self.env.bot.user.mention

    async def open(self, who: simcord.MemberActor, text: str, **more: Any) -> ChannelHandle:
        """Mention the bot; return the thread that it opens."""
        known = {thread.id for thread in self.channel.threads}
        await who.send(self.channel, f"{self.mention} {text}", **more)
        (thread,) = (thread for thread in self.channel.threads if thread.id not in known)
        return thread

    async def ended(self, channel: ChannelHandle, turns: int = 1) -> list[discord.Message]:
        """Wait until that many turns have ended in a channel; return its messages."""
        await until(lambda: sum(text_of(message).count("\n-# done") for message in channel.history()) >= turns)
        await until(lambda: not self.busy(channel))
        return channel.history()

    async def shown(self, channel: ChannelHandle, text: str) -> discord.Message:
        """Wait for a message with that text in a channel; return it."""
        await until(lambda: text in all_text(channel.history()))
        return next(message for message in reversed(channel.history()) if text in text_of(message))

    def busy(self, channel: ChannelHandle) -> bool:
        conversation = self.service.running(channel.id)
        return conversation is not None and conversation.busy


def text_of(message: discord.Message) -> str:
    """Everything that a message shows as text, with a line break in front."""
    shown = [message.content, *(part.content for part in message.components if isinstance(part, discord.TextDisplay))]
    return "\n" + "\n".join(shown)


def all_text(messages: Sequence[discord.Message]) -> str:
    return "\n".join(map(text_of, messages))


def said(result: simcord.InteractionResult) -> simcord.ResponseMessage:
    """What the bot answered to an interaction."""
    assert result.response is not None
    return result.response


def latest(result: simcord.InteractionResult) -> simcord.ResponseMessage:
    """The last message with which the bot answered an interaction."""
    return result.followups[-1] if result.followups else said(result)


def told(result: simcord.InteractionResult) -> str:
    """What the bot said last to who pressed or asked."""
    return latest(result).content


async def pressed(who: simcord.MemberActor, result: simcord.InteractionResult, label: str) -> str:
    """Press a button below an answer that only its receiver sees; return what stands there then."""
    await who.click(latest(result), label=label)
    return latest(result).content


def labels(message: discord.Message) -> list[str | None]:
    rows = (part for part in message.components if isinstance(part, discord.ActionRow))
    return [button.label for row in rows for button in row.children if isinstance(button, discord.Button)]


def with_buttons(messages: Sequence[discord.Message]) -> discord.Message:
    """The last message that has buttons."""
    return next(message for message in reversed(messages) if labels(message))


@dataclass
class Cdn:
    """Attachments of the simulated Discord."""

    bot: discord.Client | None = None

    async def download(self, wanted: Sequence[dict[str, Any]], folder: Path, _: float) -> list[dict[str, Any]]:
        folder.mkdir(parents=True, exist_ok=True)
        return [await self._one(item, folder) for item in wanted]

    async def _one(self, item: dict[str, Any], folder: Path) -> dict[str, Any]:
        assert self.bot is not None
        path = folder / f"{next(_numbers)}-{item['filename']}"
        path.write_bytes(await self.bot.http.get_from_cdn(item["url"]))
        return {**item, "local_path": str(path), "downloaded": True}


OpenStage = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture(scope="module")
def shared_folder(kernel_environment: Environment) -> Iterator[Path]:
    """Data and runtime folder of one module's tests."""
    with folder_for_kernels(kernel_environment) as folder:
        yield folder


@pytest.fixture
def open_stage(shared_folder: Path, kernel_environment: Environment, own_settings: None) -> OpenStage:
    """Open stages: ``script`` is what the model does, None for no model; ``changes`` are fields of Settings."""

    @asynccontextmanager
    async def opened(
        script: Sequence[Step] | None = (), *, notify_after: float = 30, content: bool = True, **changes: Any
    ) -> AsyncIterator[Stage]:
        settings = make_settings(shared_folder, kernel_environment, **changes)
        model = ScriptedClient(script or ())
        client = None if script is None else model
        cdn = Cdn()
        async with (
            open_interpreter(settings, housekeeping=False) as interpreter,
            open_service(
                interpreter, model=client, download=cdn.download, edit_interval=0.02, notify_after=notify_after
            ) as service,
            simcord.run(ThreadbookBot(service, make_intents(message_content=content)), settle_timeout=PATIENCE) as env,
        ):
            cdn.bot = env.bot
            service.clock = env.now
            # ids begin anew with every simulation, and the interpreter's data do not
            for number in range(100 * next(_numbers)):
                env.create_user(f"nobody{number}")
            guild = env.create_guild()
            yield Stage(env, guild, guild.create_text_channel("general"), interpreter, service, model)

    return opened
