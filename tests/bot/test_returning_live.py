"""What the bot does when it comes back, in a simulated Discord that it did not hear for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from simcord.builders import ChannelHandle

from bot.client import ThreadbookBot
from bot.cogs.keeping import Keeping
from tests.bot.conftest import OpenStage, Stage, all_text, told
from tests.integration.support import until

pytestmark = pytest.mark.slow


@contextmanager
def away(stage: Stage) -> Iterator[None]:
    """What happens meanwhile the bot does not hear of."""
    heard = list(stage.env.backend.subscribers)
    stage.env.backend.subscribers.clear()
    yield
    stage.env.backend.subscribers.extend(heard)


async def back(stage: Stage) -> None:
    await stage.env.restart_bot(ThreadbookBot(stage.service))


async def test_what_is_fresh_is_answered_and_what_is_older_is_offered(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada, bob = stage.member("ada"), stage.member("bob")
        thread = await stage.open(ada, "!run x = 20")
        await stage.ended(thread)
        with away(stage):
            stage.env.backend.create_message(thread.id, bob.id, "!run print('from bob')")
            stage.env.backend.create_message(thread.id, ada.id, "!run x = x + 1")
            await stage.env.advance_time(10 * 60)
            stage.env.backend.create_message(thread.id, ada.id, "!run print(2 * x)")
        await back(stage)
        text = all_text(await stage.ended(thread, turns=2))
        assert "I was away when this came." in text
        assert "\n40\n" in text
        assert "from bob\n```" not in text

        offered = next(message for message in thread.history() if message.content.startswith("I was away"))
        assert "no session of yours" in told(await bob.click(offered, label="Run it now"))
        await ada.click(offered, label="Run it now")
        await stage.ended(thread, turns=3)
        await ada.send(thread, "!run print(2 * x)")
        assert "\n42\n" in all_text(await stage.ended(thread, turns=4))

        await back(stage)
        await ada.send(thread, "!run print('once')")
        text = all_text(await stage.ended(thread, turns=5))
        assert text.count("I was away") == 0
        assert text.count("\n-# done") == 5


async def test_a_first_message_in_a_new_thread_is_caught_up_with_and_what_was_said_before_is_not(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        await ada.slash(stage.channel, "new")
        (fresh,) = stage.channel.threads
        foreign = ChannelHandle(stage.env, stage.guild, stage.env.backend.create_thread(stage.channel.id, "theirs", ada.id))
        await ada.send(foreign, "!run print('before')")
        await ada.slash(foreign, "run", code="1")
        await stage.ended(foreign)
        with away(stage):
            stage.env.backend.create_message(fresh.id, ada.id, "!run print(6 * 7)")
            stage.env.backend.create_message(foreign.id, ada.id, "!run print('after')")
        await back(stage)
        assert "\n42\n" in all_text(await stage.ended(fresh))
        text = all_text(await stage.ended(foreign, turns=2))
        assert "\nafter\n" in text
        assert "\nbefore\n" not in text


async def test_the_roles_of_who_wrote_meanwhile_count(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        role = stage.guild.create_role("analysts")
        ada = stage.guild.add_member(stage.env.create_user("ada"), roles=[role])
        await stage.service.gate.rules.change(stage.guild.id, roles=(role.id,))
        thread = await stage.open(ada, "!run x = 1")
        await stage.ended(thread)
        with away(stage):
            stage.env.backend.create_message(thread.id, ada.id, "!run print(x + 41)")
        await back(stage)
        assert "\n42\n" in all_text(await stage.ended(thread, turns=2))


async def test_direct_messages_are_caught_up_with_too(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        await ada.send_dm("!run x = 20")
        direct = ada.user.dm_channel
        await stage.ended(direct)
        with away(stage):
            stage.env.backend.create_message(direct.id, ada.id, "!run print(x + 22)")
        await back(stage)
        assert "\n42\n" in all_text(await stage.ended(direct, turns=2))


async def test_mentions_in_channels_are_found_too_once_each(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada, bob = stage.member("ada"), stage.member("bob")
        await stage.open(ada, "!run 1")
        assert isinstance(stage.env.bot, ThreadbookBot)
        keeping = stage.env.bot.get_cog("Threadbook keeping")
        assert isinstance(keeping, Keeping)
        await keeping.returning.note_alive()
        before = {thread.id for thread in stage.channel.threads}
        with away(stage):
            late = stage.env.backend.create_message(stage.channel.id, ada.id, f"{stage.mention} !run print('late')")
            stage.env.backend.create_message(stage.channel.id, bob.id, "not for the bot")
            await stage.env.advance_time(10 * 60)
            stage.env.backend.create_message(stage.channel.id, ada.id, f"{stage.mention} !run print('fresh')")
        await back(stage)
        await until(lambda: len(stage.channel.threads) == len(before) + 1)
        (thread,) = (thread for thread in stage.channel.threads if thread.id not in before)
        assert "fresh" in all_text(await stage.ended(thread))
        await back(stage)
        await stage.env.settle()
        offers = [message for message in stage.channel.history() if message.content == "I was away when this came."]
        assert [message.reference.message_id for message in offers if message.reference] == [late.id]
        assert "only who wrote" in told(await bob.click(offers[0], label="Answer it now"))
        await ada.click(offers[0], label="Answer it now")
        (answered,) = (thread for thread in stage.channel.threads if thread.id == late.id)
        assert "late" in all_text(await stage.ended(answered))
        assert len(stage.channel.threads) == len(before) + 2


async def test_threads_that_were_deleted_meanwhile_end_their_sessions(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        gone, kept = await stage.open(ada, "!run x = 1"), await stage.open(ada, "!run y = 1")
        await stage.ended(gone)
        await stage.ended(kept)
        with away(stage):
            stage.env.backend.delete_channel(gone.id)
            stage.env.backend.edit_channel(kept.id, {}, thread_metadata={"archived": True})
        place = await stage.service.places.find(gone.id)
        other = await stage.service.places.find(kept.id)
        assert place is not None
        assert other is not None
        await back(stage)
        await until(lambda: stage.service.places.current(place).ended_at is not None)
        session = await stage.interpreter.session(ada.id, place.session_id)
        await until(lambda: not session.has_kernel)
        assert stage.service.places.current(other).ended_at is None
        assert (await (await stage.service.session_of(other)).info()).state == "idle"


async def test_a_deleted_channel_takes_the_sessions_of_its_threads_along(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run x = 1")
        await stage.ended(thread)
        place = await stage.service.places.find(thread.id)
        assert place is not None
        with away(stage):
            stage.env.backend.delete_channel(thread.id)
        stage.env.backend.delete_channel(stage.channel.id)
        await stage.env.settle()
        await until(lambda: stage.service.places.current(place).ended_at is not None)
