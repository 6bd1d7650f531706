"""Where conversations go on: adopted threads, forum posts, direct messages, archived and edited; in a simulated Discord."""

from __future__ import annotations

import asyncio

import discord
import pytest
import simcord
from simcord.builders import ChannelHandle

from bot.agent.models.protocol import ModelRequest
from bot.agent.models.scripted import Reply, last_message
from tests.bot.conftest import OpenStage, Stage, all_text, told, with_buttons
from tests.integration.support import until

pytestmark = pytest.mark.slow


def foreign_thread(stage: Stage, owner: simcord.MemberActor, parent: ChannelHandle | None = None) -> ChannelHandle:
    """A thread that a person opened, or a post in a forum."""
    made = stage.env.backend.create_thread((parent or stage.channel).id, "theirs", owner.id)
    return ChannelHandle(stage.env, stage.guild, made)


async def test_a_mention_in_a_thread_or_a_forum_post_adopts_it(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada, bob = stage.member("ada"), stage.member("bob")
        for parent in (stage.channel, stage.guild.create_forum_channel("help")):
            thread = foreign_thread(stage, bob, parent)
            await ada.send(thread, "!run print('unheard')")
            await ada.send(thread, f"{stage.mention} !run print('heard')")
            await ada.send(thread, "!run print('heard again')")
            await bob.send(thread, "!run print('not his')")
            text = all_text(await stage.ended(thread, turns=2))
            assert "heard again" in text
            assert "\nunheard\n" not in text
            assert "not his\n```" not in text


async def test_a_channel_without_threads_goes_on_in_direct_messages(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        stage.env.inject_error("POST", f"/channels/{stage.channel.id}/messages/*/threads", status=403, code=50013)
        ada, bob = stage.member("ada"), stage.member("bob")
        await ada.send(stage.channel, f"{stage.mention} !run print(6 * 7)")
        offered = await stage.shown(stage.channel, "direct messages")
        refused = await bob.click(offered, label="Go on in direct messages")
        assert "write to me directly" in told(refused)
        await ada.click(offered, label="Go on in direct messages")
        assert "42" in all_text(await stage.ended(ada.user.dm_channel))
        await stage.shown(stage.channel, "I answer in direct messages.")


async def test_an_archived_thread_is_reopened_before_it_is_written_to(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run x = 41")
        before = with_buttons(await stage.ended(thread))
        stage.env.backend.edit_channel(thread.id, {}, thread_metadata={"archived": True})
        await stage.env.settle()
        await ada.click(before, label="Run again")
        await stage.ended(thread, turns=2)
        metadata = stage.env.backend.get_channel(thread.id).thread_metadata
        assert metadata is not None
        assert not metadata.archived
        await ada.send(thread, "!run print(x + 1)")
        assert "42" in all_text(await stage.ended(thread, turns=3))


async def test_a_thread_that_is_archived_while_a_turn_runs_is_reopened_to_show_its_end(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run input('go? ')\nprint('gone')")
        await until(lambda: "asks: go?" in all_text(thread.history()))
        stage.env.backend.edit_channel(thread.id, {}, thread_metadata={"archived": True})
        await stage.env.settle()
        form = await ada.click(with_buttons(thread.history()), label="Answer")
        assert form.modal is not None
        await ada.submit_modal(form, {form.modal["components"][0]["components"][0]["custom_id"]: "yes"})
        assert "gone" in all_text(await stage.ended(thread))
        metadata = stage.env.backend.get_channel(thread.id).thread_metadata
        assert metadata is not None
        assert not metadata.archived


async def test_a_deleted_thread_ends_its_session_which_can_still_be_exported(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run x = 41")
        await stage.ended(thread)
        place = await stage.service.places.find(thread.id)
        assert place is not None
        session = await stage.interpreter.session(ada.id, place.session_id)
        assert (await session.info()).state == "idle"
        stage.env.backend.delete_channel(thread.id)
        await stage.env.settle()
        await until(lambda: stage.service.places.current(place).ended_at is not None)
        await until(lambda: not session.has_kernel)
        assert (await session.info()).state == "dead"
        assert [cell.code for cell in session.read_history().cells] == ["x = 41"]


async def test_an_edited_message_is_offered_to_run_again_and_only_for_a_while(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada, bob = stage.member("ada"), stage.member("bob")
        thread = await stage.open(ada, "!run x = 1")
        await stage.ended(thread)
        message = await ada.send(thread, "!run print('one')")
        await stage.ended(thread, turns=2)
        await ada.edit(message, "!run print('two')")
        offered = await stage.shown(thread, "You edited this.")
        refused = await bob.click(offered, label="Run it again")
        assert "only who wrote" in told(refused)
        await ada.click(offered, label="Run it again")
        assert "\ntwo\n" in all_text(await stage.ended(thread, turns=3))
        await stage.env.advance_time(10 * 60)
        await ada.edit(message, "!run print('three')")
        assert all_text(thread.history()).count("You edited this.") == 0


async def test_a_message_that_is_edited_while_it_waits_is_answered_as_it_is_then(open_stage: OpenStage) -> None:
    release = asyncio.Event()

    async def wait(_: ModelRequest) -> Reply:
        await release.wait()
        return Reply("First.")

    async with open_stage([wait, lambda request: Reply(f"To: {last_message(request)}")]) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "one")
        await until(lambda: stage.model.requests)
        message = await ada.send(thread, "twoo")
        await ada.edit(message, "two, put right")
        release.set()
        text = all_text(await stage.ended(thread, turns=2))
        assert "two, put right" in text
        assert "twoo" not in last_message(stage.model.requests[1])
        assert "You edited this." not in text


async def test_files_of_forwarded_and_answered_messages_count_as_attached(open_stage: OpenStage) -> None:
    async with open_stage([Reply("One."), Reply("Two.")]) as stage:
        ada, bob = stage.member("ada"), stage.member("bob")
        elsewhere = await bob.send(stage.channel, "numbers, once", attachments=[("d.csv", b"a\n1\n")])
        await stage.open(ada, "look at this", reply_to=elsewhere)
        direct = ada.user.dm_channel
        await until(lambda: "d.csv" in str(stage.model.requests and last_message(stage.model.requests[0])))
        assert [file.filename for file in await stage.interpreter.files.list(ada.id)] == ["d.csv"]
        stage.env.backend.create_message(
            direct.id, ada.id, reference={"type": 1, "channel_id": str(stage.channel.id), "message_id": str(elsewhere.id)}
        )
        await stage.env.settle()
        await stage.ended(direct)
        asked = last_message(stage.model.requests[1])
        assert "numbers, once" in asked
        assert "d.csv" in asked


async def test_a_file_that_came_in_before_is_not_taken_a_second_time(open_stage: OpenStage) -> None:
    async with open_stage([Reply("One."), Reply("Two.")]) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run 1")
        first = await ada.send(thread, "first", attachments=[("d.csv", b"a\n1\n")])
        await stage.ended(thread, turns=2)
        await ada.send(thread, "again", reply_to=first)
        await stage.ended(thread, turns=3)
        assert "d.csv" in str(stage.model.requests[1].items)
        assert len(await stage.interpreter.files.list(ada.id)) == 1


async def test_code_comes_in_as_a_file_too(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        code = b"import sys\nprint('from', 'a file')\n"
        thread = await stage.open(ada, "!run", attachments=[("work.py", code), ("d.csv", b"a\n1\n")])
        assert "from a file" in all_text(await stage.ended(thread))
        await ada.send(thread, "!run")
        await stage.shown(thread, "as a .py file")
        await ada.send(thread, "!run", attachments=[("d.csv", b"a\n1\n")])
        await until(lambda: "is no Python file" in all_text(thread.history()))
        await ada.slash(thread, "run", file=("more.py", b"print('by', 'command')"))
        assert "by command" in all_text(await stage.ended(thread, turns=2))
        nothing = await ada.slash(thread, "run")
        assert "give code" in told(nothing)


async def test_ask_and_run_open_a_thread_where_there_is_none_and_show_what_was_asked(open_stage: OpenStage) -> None:
    async with open_stage([Reply("Three lines."), Reply("Again.")]) as stage:
        ada = stage.member()
        result = await ada.slash(stage.channel, "ask", prompt="how long is it?", file=("d.csv", b"a\n1\n"))
        (thread,) = stage.channel.threads
        assert f"<#{thread.id}>" in told(result)
        assert thread.name == "how long is it?"
        text = all_text(await stage.ended(thread))
        assert "**ada**: how long is it?" in text
        assert "Three lines." in text
        assert "d.csv" in last_message(stage.model.requests[0])
        await ada.slash(stage.channel, "run", code="print(6 * 7)")
        (_, second) = stage.channel.threads
        assert "42" in all_text(await stage.ended(second))


async def test_without_the_content_of_messages_mentions_commands_and_direct_messages_still_work(open_stage: OpenStage) -> None:
    async with open_stage(None, content=False) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run print('by mention')")
        assert "by mention" in all_text(await stage.ended(thread))
        await ada.send(thread, "!run print('unread')")
        await ada.send(thread, f"{stage.mention} !run print('once more')")
        await ada.slash(thread, "run", code="print('by command')")
        text = all_text(await stage.ended(thread, turns=3))
        assert "once more" in text
        assert "by command" in text
        assert "unread\n" not in text
        await ada.send_dm("!run print('directly')")
        assert "directly" in all_text(await stage.ended(ada.user.dm_channel))


async def test_new_works_in_threads_forums_and_direct_messages(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        await ada.slash(stage.channel, "new", name="first")
        (first,) = stage.channel.threads
        await ada.slash(first, "new", name="second", private=True)
        second = next(thread for thread in stage.channel.threads if thread.id != first.id)
        assert stage.env.backend.get_channel(second.id).type == discord.ChannelType.private_thread.value
        forum = stage.guild.create_forum_channel("help")
        post = foreign_thread(stage, ada, forum)
        await ada.slash(post, "new", name="a post")
        made = next(thread for thread in forum.threads if thread.name == "a post")
        await ada.send(made, "!run print('in a post')")
        assert "in a post" in all_text(await stage.ended(made))
        await ada.send_dm("!run x = 1")
        await stage.ended(ada.user.dm_channel)
        begun = await ada.user.slash("new")
        assert "new session begins" in told(begun)
        await ada.send_dm("!run print('x' in globals())")
        assert "False" in all_text(await stage.ended(ada.user.dm_channel, turns=2))
