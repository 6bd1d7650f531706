"""Sharing, permissions, limits, forgetting and administration, in a simulated Discord with real kernels."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from datetime import timedelta

import pytest

from bot.agent.items import UserMessage
from bot.agent.items import text_of as text_of_parts
from bot.agent.models.protocol import ModelRequest, TokenUsage
from bot.agent.models.scripted import Reply
from bot.client import ThreadbookBot
from bot.places import Place
from bot.sweeping import sweep
from tests.bot.conftest import OpenStage, Stage, all_text, latest, pressed, told, with_buttons
from tests.integration.support import until

pytestmark = pytest.mark.slow

CSV = b"a\n1\n"


async def place_of(stage: Stage, channel_id: int) -> Place:
    place = await stage.service.places.find(channel_id)
    assert place is not None
    return place


class TestSharing:
    async def test_lets_chosen_members_run_and_sees_only_files_that_came_in_there(self, open_stage: OpenStage) -> None:
        async with open_stage(None) as stage:
            ada, bob, eve = (stage.member(name) for name in ("ada", "bob", "eve"))
            other = await stage.open(ada, "", attachments=[("secret.csv", CSV)])
            await until(lambda: "secret.csv" in all_text(other.history()))
            thread = await stage.open(ada, "!run x = 'from ada'; print(sorted(FILES))", attachments=[("ours.csv", CSV)])
            assert "['ours.csv', 'secret.csv']" in all_text(await stage.ended(thread))
            await bob.send(thread, "!run print('too early')")

            assert "somebody else's" in told(await bob.slash(thread, "share", everyone=True))
            asked = await ada.slash(thread, "share", member=bob)
            assert "the variables are gone" in told(asked)
            assert not (await place_of(stage, thread.id)).shared
            await pressed(ada, asked, "Share this session")
            await stage.shown(thread, f"shares this session with <@{bob.id}>")
            assert not any(message.ping_user_ids for message in stage.env.backend.messages[thread.id].values())

            await bob.send(thread, "!run print('x' in globals(), sorted(FILES))", attachments=[("bobs.csv", CSV)])
            text = all_text(await stage.ended(thread, turns=2))
            assert "False ['bobs.csv', 'ours.csv']" in text
            assert "too early\n```" not in text
            await bob.send(thread, "!run import os; print([n for n in os.listdir('/files') if 'secret' in n])")
            assert "\n[]\n" in all_text(await stage.ended(thread, turns=3))
            await eve.send(thread, "!run print('from eve')")
            await ada.send(thread, "!run print('still there')")
            text = all_text(await stage.ended(thread, turns=4))
            assert "from eve\n```" not in text
            assert [file.filename for file in await stage.interpreter.files.list(bob.id)] == ["bobs.csv"]
            assert "bobs.csv" not in [file.filename for file in await stage.interpreter.files.list(ada.id)]

            await bob.slash(thread, "files delete", file="bobs.csv")
            denied = await bob.slash(thread, "reset")
            assert "only who opened" in told(denied)
            before = with_buttons(thread.history())
            await ada.slash(thread, "reset")
            assert "its owner's alone" in told(await bob.click(before, label="Notebook"))
            await bob.send(thread, "!run print(sorted(FILES))")
            assert "['ours.csv']" in all_text(await stage.ended(thread, turns=5))

            assert "Only you may" in told(await ada.slash(thread, "unshare"))
            await bob.send(thread, "!run print('too late')")
            await ada.send(thread, "!run print(sorted(FILES))")
            text = all_text(await stage.ended(thread, turns=6))
            assert "too late\n```" not in text
            assert text.count("'secret.csv']") == 1
            await ada.slash(thread, "reset")
            await ada.send(thread, "!run print(sorted(FILES))")
            assert "['ours.csv', 'secret.csv']" in all_text((await stage.ended(thread, turns=7))[-2:])

    async def test_names_each_speaker_and_charges_who_asks(self, open_stage: OpenStage) -> None:
        release = asyncio.Event()

        async def wait(_: ModelRequest) -> Reply:
            await release.wait()
            return Reply("First.", usage=TokenUsage(100, 10))

        async with open_stage([wait, Reply("Both.", usage=TokenUsage(100, 11)), Reply("Bob.", usage=TokenUsage(7, 1))]) as stage:
            ada, bob = stage.member("ada"), stage.member("bob")
            await ada.slash(stage.channel, "new")
            (thread,) = stage.channel.threads
            await pressed(ada, await ada.slash(thread, "share", everyone=True), "Share this session")
            await ada.send(thread, "one")
            await until(lambda: stage.model.requests)
            await ada.send(thread, "two")
            await bob.send(thread, "three")
            release.set()
            await stage.ended(thread, turns=2)
            items = [text_of_parts(item.parts) for item in stage.model.requests[1].items if isinstance(item, UserMessage)]
            assert any(text.startswith("ada (") and "two" in text for text in items)
            assert any(text.startswith("bob (") and "three" in text for text in items)
            await bob.send(thread, "four")
            await stage.ended(thread, turns=3)
            (adas,) = await stage.service.usage.get(str(ada.id))
            (bobs,) = await stage.service.usage.get(str(bob.id))
            assert (adas["input_tokens"], adas["output_tokens"]) == (150, 16)
            assert (bobs["input_tokens"], bobs["output_tokens"]) == (57, 6)
            assert bobs["kind"] == f"chat@{stage.guild.id}"

    async def test_a_long_turn_ends_with_a_mention_of_who_asked(self, open_stage: OpenStage) -> None:
        async with open_stage(None, notify_after=0) as stage:
            ada, bob = stage.member("ada"), stage.member("bob")
            await ada.slash(stage.channel, "new")
            (thread,) = stage.channel.threads
            await pressed(ada, await ada.slash(thread, "share", everyone=True), "Share this session")
            await bob.send(thread, "!run 1")
            await stage.ended(thread)
            await stage.shown(thread, f"<@{bob.id}> your turn is over.")

    async def test_of_a_private_thread_invites_who_is_let_in(self, open_stage: OpenStage) -> None:
        async with open_stage(None) as stage:
            ada, bob = stage.member("ada"), stage.member("bob")
            await ada.slash(stage.channel, "new", private=True)
            (thread,) = stage.channel.threads
            assert bob.id not in stage.env.backend.get_channel(thread.id).thread_members
            await pressed(ada, await ada.slash(thread, "share", member=bob), "Share this session")
            assert bob.id in stage.env.backend.get_channel(thread.id).thread_members

    async def test_what_waits_of_who_was_shown_out_does_not_run(self, open_stage: OpenStage) -> None:
        async with open_stage(None) as stage:
            ada, bob = stage.member("ada"), stage.member("bob")
            await ada.slash(stage.channel, "new")
            (thread,) = stage.channel.threads
            await pressed(ada, await ada.slash(thread, "share", member=bob), "Share this session")
            await ada.send(thread, "!run input('go? ')")
            await until(lambda: "asks: go?" in all_text(thread.history()))
            await bob.send(thread, "!run print('from', 'bob')")
            await ada.slash(thread, "unshare")
            await ada.send(thread, "yes", reply_to=with_buttons(thread.history()))
            await stage.ended(thread)
            assert "from bob" not in all_text(thread.history())

    async def test_is_taken_from_one_and_refused_while_a_turn_runs_and_in_direct_messages(self, open_stage: OpenStage) -> None:
        async with open_stage(None) as stage:
            ada, bob = stage.member("ada"), stage.member("bob")
            thread = await stage.open(ada, "!run print('begun', flush=True)\nwhile True: pass")
            await until(lambda: "begun" in all_text(thread.history()))
            asked = await ada.slash(thread, "share", member=bob)
            assert "a turn runs here" in told(await ada.click(latest(asked), label="Share this session"))
            await ada.slash(thread, "stop")
            await until(lambda: not stage.busy(thread))
            await pressed(ada, asked, "Share this session")
            assert (await place_of(stage, thread.id)).members == (bob.id,)
            assert "not shared with them" in told(await ada.slash(thread, "unshare", member=ada))
            wider = await ada.slash(thread, "share", everyone=True)
            assert "**Everybody** who can write here" in told(wider)
            assert not (await place_of(stage, thread.id)).everyone
            assert "Only you may" in told(await ada.slash(thread, "unshare", member=bob))
            await ada.send_dm("!run 1")
            await stage.ended(ada.user.dm_channel)
            assert "between you and me" in told(await ada.user.slash("share", everyone=True))


class TestPermissions:
    async def test_of_channels_and_roles_are_a_servers_own(self, open_stage: OpenStage) -> None:
        async with open_stage(None) as stage:
            role = stage.guild.create_role("analysts")
            other = stage.guild.create_text_channel("other")
            admin = stage.admin()
            ada = stage.guild.add_member(stage.env.create_user("ada"), roles=[role])
            bob = stage.member("bob")
            shown = told(await admin.slash(stage.channel, "admin access", channel=stage.channel, role=role))
            assert f"<#{stage.channel.id}>" in shown
            assert f"<@&{role.id}>" in shown
            await ada.send(other, f"{stage.mention} hi")
            await stage.shown(other, "may not be used in this channel")
            assert "may not be used in this channel" in told(await ada.slash(other, "files list"))
            await bob.send(stage.channel, f"{stage.mention} hi")
            await stage.shown(stage.channel, "need a certain role")
            thread = await stage.open(ada, "!run print(6 * 7)")
            assert "42" in all_text(await stage.ended(thread))
            assert not any(name.startswith("admin") for name in ada.available_commands(stage.channel))
            assert isinstance(stage.env.bot, ThreadbookBot)
            (command,) = [one for one in await stage.env.bot.tree.fetch_commands() if one.name == "admin"]
            stage.guild.set_command_permissions(command, {ada: True})
            assert "permission to manage" in told(await ada.slash(stage.channel, "admin limits", per_user=1))
            await admin.slash(stage.channel, "admin access", role=role, remove=True)
            await admin.slash(stage.channel, "admin access", channel=stage.channel, remove=True)
            assert "everybody" in told(await admin.slash(stage.channel, "admin access"))
            await bob.send(other, f"{stage.mention} !run 1")
            assert len(other.threads) == 1

    async def test_too_much_at_once_is_refused_and_says_until_when(self, open_stage: OpenStage) -> None:
        async with open_stage(None, rate_limit_per_user=2) as stage:
            ada = stage.member()
            thread = await stage.open(ada, "!run 1")
            await ada.send(thread, "!run 2")
            await stage.ended(thread, turns=2)
            await ada.send(thread, "!run 3")
            await stage.shown(thread, "too much at once; try again in")
            assert "try again in" in told(await ada.slash(thread, "run", code="4"))
            refused = await ada.click(with_buttons(thread.history()), label="Run again")
            assert "try again in" in told(refused)

    async def test_an_operator_blocks_a_user_who_can_still_have_everything_deleted(self, open_stage: OpenStage) -> None:
        async with open_stage(None) as stage:
            operator, ada = stage.operator(), stage.member("ada")
            thread = await stage.open(ada, "!run print('begun', flush=True)\nwhile True: pass")
            await until(lambda: "begun" in all_text(thread.history()))
            assert "only those who run me" in told(await stage.admin().slash(thread, "admin block", user=ada))
            assert "is blocked" in told(await operator.user.slash("admin block", user=ada.user, reason="mines coins"))
            await until(lambda: not stage.busy(thread))
            await ada.send(thread, "!run print('again')")
            await stage.shown(thread, "you may not use me any more")
            assert "may not use me" in told(await ada.slash(thread, "files list"))
            assert "mines coins" in told(await operator.user.slash("admin block"))
            asked = await ada.slash(thread, "forget")
            assert "All of yours is deleted" in (await pressed(ada, asked, "Delete everything of mine"))
            assert "blocked no more" in told(await operator.user.slash("admin unblock", user=ada.user))


class TestForgetting:
    async def test_deletes_files_sessions_and_records_when_it_is_confirmed(self, open_stage: OpenStage) -> None:
        async with open_stage([Reply("Hello.", ["x = 1"]), Reply("Done.")]) as stage:
            ada = stage.member()
            await ada.slash(stage.channel, "assistant", assistant="visualiser")
            thread = await stage.open(ada, "hi", attachments=[("d.csv", CSV)])
            await stage.ended(thread)
            asked = await ada.slash(thread, "forget")
            assert "1 files, your 1 sessions" in told(asked)
            assert len(await stage.interpreter.files.list(ada.id)) == 1
            assert "All of yours is deleted: 1 files" in await pressed(ada, asked, "Delete everything of mine")
            assert await stage.interpreter.files.list(ada.id) == []
            assert not any(info.user_id == str(ada.id) for info in await stage.interpreter.sessions())
            assert await stage.service.usage.get(str(ada.id)) == []
            assert await stage.interpreter.database.get_user_assistant(ada.id) is None
            assert await stage.service.places.find(thread.id) is None
            await ada.send(thread, "!run 1")
            assert not stage.busy(thread)


class TestAdministration:
    async def test_of_a_server_sees_that_server_alone_and_the_operator_everything(self, open_stage: OpenStage) -> None:
        async with open_stage(None) as stage:
            operator, ada = stage.operator(), stage.member("ada")
            admin = stage.admin()
            thread = await stage.open(ada, "!run x = 1")
            await stage.ended(thread)
            await ada.send_dm("!run y = 1")
            await stage.ended(ada.user.dm_channel)
            here = told(await admin.slash(stage.channel, "admin sessions"))
            assert f"<#{thread.id}> · <@{ada.id}> · kernel idle · 1 cells" in here
            assert "direct messages" not in here
            assert "direct messages" in told(await operator.user.slash("admin sessions"))
            assert "only those who run me" in told(await admin.slash(stage.channel, "admin sessions", everywhere=True))
            assert "only those who run me" in told(await ada.user.slash("admin sessions"))
            (choice,) = await admin.autocomplete(stage.channel, "admin sessions", "end", str(ada.id))
            assert "is ended" in told(await admin.slash(stage.channel, "admin sessions", end=choice["value"]))
            assert "kernel dead" in told(await admin.slash(stage.channel, "admin sessions"))

            used = told(await admin.slash(stage.channel, "admin usage"))
            assert f"<@{ada.id}> · 0 tokens in, 0 out · 1 runs" in used
            assert f"<@{ada.id}> · 0 tokens in, 0 out · 2 runs" in told(await operator.user.slash("admin usage"))
            assert "only those who run me" in told(await admin.slash(stage.channel, "admin usage", reset=ada))
            assert "is forgotten" in told(await operator.user.slash("admin usage", reset=ada.user))
            assert "0 users" in told(await admin.slash(stage.channel, "admin usage"))

            assert "packages, sandbox" in told(await admin.slash(stage.channel, "admin env"))
            assert "live kernels" in told(await operator.user.slash("admin env"))
            assert "in a minute: 3" in told(await admin.slash(stage.channel, "admin limits", per_user=3))
            assert "unused session is kept: 5" in told(await operator.user.slash("admin limits", session_days=5))
            await operator.user.slash("admin limits", session_days=0)
            assert "removed" in told(await operator.user.slash("admin cleanup"))
            assert "0 threads were deleted" in told(await admin.slash(stage.channel, "admin cleanup"))

    async def test_ended_sessions_are_exported_for_a_while_and_then_removed(self, open_stage: OpenStage) -> None:
        async with open_stage(None) as stage:
            ada = stage.member()
            thread = await stage.open(ada, "!run x = 41")
            await stage.ended(thread)
            stage.env.backend.delete_channel(thread.id)
            await stage.env.settle()
            place = await place_of(stage, thread.id)
            await until(lambda: stage.service.places.current(place).ended_at is not None)
            listed = told(await ada.slash(stage.channel, "sessions"))
            assert "deleted, kept until" in listed
            (choice,) = await ada.autocomplete(stage.channel, "sessions", "export", place.session_id)
            made = await ada.slash(stage.channel, "sessions", export=choice["value"])
            assert [file.filename for file in latest(made).attachments] == [f"{place.session_id}.ipynb"]
            bob = stage.member("bob")
            assert "no such session" in told(await bob.slash(stage.channel, "sessions", export=choice["value"]))
            assert place.channel_id not in [gone.channel_id for gone in await sweep(stage.service)]
            stage.service.clock = lambda: stage.env.now() + timedelta(days=31)
            assert place.channel_id in [gone.channel_id for gone in await sweep(stage.service)]
            assert not any(info.session_id == place.session_id for info in await stage.interpreter.sessions())

    async def test_unused_sessions_go_when_the_server_wants_it_and_the_thread_begins_anew(self, open_stage: OpenStage) -> None:
        async with open_stage(None) as stage:
            ada = stage.member()
            thread = await stage.open(ada, "!run x = 41")
            await stage.ended(thread)
            place = await place_of(stage, thread.id)
            session = await stage.interpreter.session(ada.id, place.session_id)
            history = session.folder / "history.jsonl"
            await stage.service.gate.rules.change(stage.guild.id, session_days=3)
            assert place.channel_id not in [gone.channel_id for gone in await sweep(stage.service)]
            four_days_ago = time.time() - 4 * 86_400
            os.utime(history, (four_days_ago, four_days_ago))
            assert [gone.channel_id for gone in await sweep(stage.service, stage.guild.id)] == [thread.id]
            assert not history.exists()
            await ada.send(thread, "!run print('x' in globals())")
            assert "False" in all_text(await stage.ended(thread, turns=2))


class TestErrors:
    async def test_reach_the_user_as_one_line_with_an_id_and_the_log_with_the_rest(
        self, open_stage: OpenStage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_stage(None) as stage:
            ada = stage.member()
            thread = await stage.open(ada, "!run 1")
            await stage.ended(thread)

            async def broken(*_: object) -> None:
                raise RuntimeError("the secret inside")

            monkeypatch.setattr(stage.interpreter.files, "list", broken)
            monkeypatch.setattr(stage.service.gate, "check", broken)
            with caplog.at_level(logging.ERROR):
                await ada.send(thread, "!run 2")
                failed = await stage.shown(thread, "tell the operator error")
                shown = told(await ada.slash(thread, "stop"))
            for text in (failed.content, shown):
                assert "tell the operator error" in text
                assert "secret" not in text
                number = text.removesuffix(".").rpartition(" ")[2]
                assert any(number in record.getMessage() for record in caplog.records)
