"""Ours inside a foreign bot with its own commands, prefix, settings and MongoDB."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import discord
import pytest
import simcord
from discord import app_commands
from discord.ext import commands

from bot.agent.models.scripted import Reply, ScriptedClient
from bot.embedding import configure, create_discord_cleanup_task, database_of, execute_code, get_interpreter_status
from bot.views.buttons import DYNAMIC_ITEMS
from kernel_manager import Settings, UsageError
from kernel_manager.packages.environments import Environment
from tests.bot.conftest import all_text, said, with_buttons
from tests.integration.conftest import make_settings
from tests.integration.support import PATIENCE, until
from tests.mongo_server import database_by, mongo_server

pytestmark = pytest.mark.slow


class HostBot(commands.Bot):
    """A bot of somebody else's, with commands of all kinds and a listener."""

    def __init__(self) -> None:
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(command_prefix=commands.when_mentioned_or("!"), intents=intents)
        self.heard: list[str] = []
        self.failed: list[BaseException] = []

    async def setup_hook(self) -> None:
        await self.add_cog(HostCog(self))

    async def on_command_error(self, _: Any, error: commands.CommandError, /) -> None:
        self.failed.append(error)


class HostCog(commands.Cog, name="Chat"):
    """Its names are those that ours have, too."""

    def __init__(self, bot: HostBot) -> None:
        self._bot = bot

    @commands.command()
    async def greet(self, context: commands.Context[HostBot]) -> None:
        await context.send("greetings of the host")

    @app_commands.command(description="The host's own")
    async def run(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message("the host's run")

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        self._bot.heard.append(message.content)


@pytest.fixture(scope="module")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mongo_server(tmp_path_factory.mktemp("mongo")) as uri:
        yield uri


@pytest.fixture
def settings(shared_folder: Path, kernel_environment: Environment, own_settings: None) -> Settings:
    return make_settings(shared_folder, kernel_environment, allow_unsandboxed=True)


def trace(host: HostBot) -> dict[str, Any]:
    """All that somebody may have added to a bot."""
    return {
        "cogs": sorted(host.cogs),
        "commands": sorted(command.name for command in host.commands),
        "app commands": sorted(command.name for command in host.tree.get_commands()),
        "listeners": {name: len(found) for name, found in host.extra_events.items() if found},
        "dynamic items": len(host._connection._view_store._dynamic_items),
        "tasks": sorted(task.get_name() for task in asyncio.all_tasks() if not task.get_name().startswith("Task-")),
    }


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_foreign_bot_with_its_own_commands_prefix_and_database_takes_ours_in(
    settings: Settings, mongodb: str, driver: str
) -> None:
    host, model = HostBot(), ScriptedClient([Reply("", ["y = 20 + 1\nprint(2 * y)"]), Reply("It is 42.")])
    async with database_by(driver, mongodb) as database, simcord.run(host, settle_timeout=PATIENCE) as env:
        await database["user_files"].insert_one({"of": "the host"})
        before = trace(host)
        configure(host, settings=settings, database=database, model=model)
        await host.load_extension("bot.extension")
        ours = [command for command in host.tree.get_commands() if command.name not in before["app commands"]]
        assert [command.name for command in ours] == ["threadbook"]

        guild = env.create_guild()
        channel, ada = guild.create_text_channel("general"), guild.add_member(env.create_user(f"ada-{driver}"))
        with pytest.raises(simcord.SetupError, match="never synced"):
            await ada.slash(channel, "threadbook help")
        await host.tree.sync()
        await ada.send(channel, "!greet")
        await ada.send(channel, f"{host.user.mention if host.user else ''} greet")
        assert all_text(channel.history()).count("greetings of the host") == 2
        assert channel.threads == []
        assert said(await ada.slash(channel, "run")).content == "the host's run"

        await ada.send(channel, f"{host.user.mention if host.user else ''} what is twice 21?")
        (thread,) = channel.threads
        await until(lambda: "-# done" in all_text(thread.history()))
        assert "It is 42." in all_text(thread.history())
        assert said(await ada.slash(thread, "threadbook run", code="print(y)")).content == "Running it."
        await until(lambda: all_text(thread.history()).count("-# done") == 2)
        assert "```\n21\n```" in all_text(thread.history())
        assert "no files" in said(await ada.slash(channel, "threadbook files list")).content
        assert "y = 20" in said(await ada.click(with_buttons(thread.history()[:-1]), label="Show code")).content
        helped = said(await ada.slash(channel, "threadbook help")).content
        assert "`/threadbook new`" in helped
        assert "`/new`" not in helped
        await ada.send(thread, "!greet")
        assert "greetings of the host" in all_text(thread.history())

        result = await execute_code("6 * 7", user_id=7, db_handler=database_of(host), settings=settings)
        assert result["outputs"][0]["data"]["text/plain"] == "42"
        status = await get_interpreter_status(db_handler=database_of(host), settings=settings)
        assert {"venv_exists", "package_count", "total_user_files", "total_file_size_mb"} <= set(status)
        names = set(await database.list_collection_names())
        assert {name for name in names if not name.startswith("threadbook_")} == {"user_files"}
        assert await database["user_files"].count_documents({}) == 1

        for _ in range(2):
            host.dispatch("ready")
        await host.unload_extension("bot.extension")
        assert trace(host) == before
        with pytest.raises(UsageError, match="not loaded"):
            database_of(host)
        assert {type(error) for error in host.failed} == {commands.CommandNotFound}  # "what": it takes a mention for its prefix
        await database["user_files"].delete_many({})


async def test_it_comes_again_after_a_reload_and_goes_when_the_host_is_closed(settings: Settings) -> None:
    host = HostBot()
    async with simcord.run(host, settle_timeout=PATIENCE) as env:
        configure(host, settings=settings)
        await host.load_extension("bot.extension")
        await host.reload_extension("bot.extension")
        guild = env.create_guild()
        channel, bob = guild.create_text_channel("general"), guild.add_member(env.create_user("bob"))
        await bob.send(channel, f"{host.user.mention if host.user else ''} !run print(6 * 7)")
        (thread,) = channel.threads
        await until(lambda: "-# done" in all_text(thread.history()))
        assert "```\n42\n```" in all_text(thread.history())
        assert host._connection._view_store._dynamic_items.keys() >= {
            item.__discord_ui_compiled_template__ for item in DYNAMIC_ITEMS
        }
        await host.close()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "threadbook"]


async def test_a_host_that_has_the_command_already_is_told_and_nothing_stays(settings: Settings) -> None:
    host = HostBot()

    @host.tree.command(name="threadbook", description="The host's")
    async def threadbook(_: discord.Interaction) -> None: ...

    async with simcord.run(host, settle_timeout=PATIENCE):
        before = trace(host)
        configure(host, settings=settings)
        with pytest.raises(commands.ExtensionFailed, match="threadbook"):
            await host.load_extension("bot.extension")
        assert trace(host) == before
        assert host.tree.get_command("threadbook") is not None


async def test_it_refuses_a_machine_that_cannot_keep_kernels_apart(settings: Settings) -> None:
    host = HostBot()
    async with simcord.run(host, settle_timeout=PATIENCE):
        configure(host, settings=settings.model_copy(update={"sandbox": "none", "allow_unsandboxed": False}))
        with pytest.raises(commands.ExtensionFailed, match="ALLOW_UNSANDBOXED"):
            await host.load_extension("bot.extension")
        assert "threadbook" not in {command.name for command in host.tree.get_commands()}


async def test_the_cleanup_loop_starts_once_however_often_the_bot_is_ready(settings: Settings) -> None:
    host = HostBot()
    async with simcord.run(host, settle_timeout=PATIENCE):
        running = [create_discord_cleanup_task(host, settings=settings).start() for _ in range(3)]
        assert len(set(running)) == 1
        create_discord_cleanup_task(host, settings=settings).cancel()
        await asyncio.wait({running[0]})
