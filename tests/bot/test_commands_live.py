"""The slash commands, in a simulated Discord."""

from __future__ import annotations

import re

import pytest

from bot.agent.models.scripted import Reply
from bot.client import ThreadbookBot
from bot.posts import MESSAGE_LIMIT
from tests.bot.conftest import OpenStage, all_text, said, told
from tests.integration.support import until

pytestmark = pytest.mark.slow


async def test_files_are_listed_extended_and_deleted_by_name(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada, bob = stage.member("ada"), stage.member("bob")
        thread = await stage.open(ada, "", attachments=[("sales_*1*.csv", b"a\n1\n")])
        await until(lambda: "sales" in all_text(thread.history()))
        listed = said(await ada.slash(stage.channel, "files list")).content
        assert "text/csv · 4 bytes · expires <t:" in listed
        assert said(await bob.slash(stage.channel, "files list")).content == "You have no files: attach one to a message."
        (choice,) = await ada.autocomplete(stage.channel, "files delete", "file", "SALES")
        before = re.findall(r"<t:(\d+):R>", listed)
        extended = said(await ada.slash(stage.channel, "files extend", file=choice["value"])).content
        assert int(re.findall(r"<t:(\d+):R>", extended)[0]) - int(before[0]) == 48 * 3600
        assert "is deleted" in said(await ada.slash(stage.channel, "files delete", file=choice["value"])).content
        assert "no file" in said(await bob.slash(stage.channel, "files delete", file=choice["value"])).content


async def test_a_file_of_the_code_is_sent_and_can_be_kept(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run open('out.txt', 'w').write('hello');")
        messages = await stage.ended(thread)
        (attachment,) = (attachment for message in messages for attachment in message.attachments)
        assert attachment.filename == "out.txt"
        assert await attachment.read() == b"hello"
        assert "out.txt is yours" in said(await ada.slash(thread, "files keep", file="out.txt")).content


async def test_a_long_turn_ends_with_a_mention_of_its_owner_alone(open_stage: OpenStage) -> None:
    async with open_stage(None, notify_after=0) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run 1")
        message = (await stage.ended(thread))[-1]
        assert message.content == f"<@{ada.id}> your turn is over."
        assert [user.id for user in message.mentions] == [ada.id]


async def test_an_assistant_is_chosen_and_usage_told(open_stage: OpenStage) -> None:
    async with open_stage([Reply("Hello.")]) as stage:
        ada = stage.member()
        assert "➡️ `data-analyst`" in said(await ada.slash(stage.channel, "assistant")).content
        assert "Visualiser answers" in said(await ada.slash(stage.channel, "assistant", assistant="visualiser")).content
        assert "there is no assistant" in said(await ada.slash(stage.channel, "assistant", assistant="poet")).content
        await stage.ended(await stage.open(ada, "hi"))
        assert "visualiser" in said(await ada.slash(stage.channel, "usage")).content
        assert "You are Visualiser" in stage.model.requests[0].instructions


async def test_without_a_model_there_is_no_assistant_to_choose(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        assert "no language model" in said(await stage.member().slash(stage.channel, "assistant")).content


async def test_status_tells_of_the_session_and_help_fits_one_message(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run 1")
        await stage.ended(thread)
        here = said(await ada.slash(thread, "status")).content
        assert "1 cells" in here
        assert "Model: none" in here
        assert "use /new" in said(await ada.slash(stage.channel, "status")).content
        helped = said(await ada.slash(stage.channel, "help"))
        assert len(helped.content) <= MESSAGE_LIMIT
        assert helped.ephemeral


async def test_files_are_previewed_and_those_of_the_code_offered_to_be_kept(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada, bob = stage.member("ada"), stage.member("bob")
        thread = await stage.open(
            ada, "!run open('out.txt', 'w').write('x');", attachments=[("d.csv", b"city,inhabitants\nUlm,126000\n")]
        )
        await stage.ended(thread)
        shown = told(await ada.slash(thread, "files preview", file="d.csv"))
        assert "1 rows × 2 columns" in shown
        assert "Ulm" in shown
        assert "no file" in told(await bob.slash(thread, "files preview", file="d.csv"))
        (choice,) = await ada.autocomplete(thread, "files keep", "file", "OUT")
        assert choice["value"] == "out.txt"
        assert await bob.autocomplete(thread, "files keep", "file", "OUT") == []
        (found,) = await ada.autocomplete(thread, "files preview", "file", "d.c")
        assert found["name"] == "d.csv"


async def test_what_ran_without_a_model_is_told_as_usage_too(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        assert told(await ada.slash(stage.channel, "usage")) == "Nothing yet."
        await stage.ended(await stage.open(ada, "!run 1"))
        assert "· code · 1 runs ·" in told(await ada.slash(stage.channel, "usage"))


async def test_every_command_has_a_description_and_is_offered_in_direct_messages(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        bot = stage.env.bot
        assert isinstance(bot, ThreadbookBot)
        found = list(bot.tree.walk_commands())
        assert not [command.qualified_name for command in found if len(command.description) < 10]
        names = {command.qualified_name for command in found}
        wanted = "run new ask files notebook reset stop status assistant usage share unshare sessions help forget admin"
        assert set(wanted.split()) <= names
        assert {f"admin {name}" for name in ("sessions", "limits", "cleanup", "env", "usage", "block", "access")} <= names
        assert {f"files {name}" for name in ("list", "preview", "delete", "extend", "keep")} <= names
        assert set(wanted.split()) - {"files", "admin"} <= {name.split()[0] for name in ada.user.available_commands()}
