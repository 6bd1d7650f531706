"""Hostile text and files, and a Discord that fails, with the real bot and real kernels."""

from __future__ import annotations

import pytest

from bot.agent.models.scripted import Reply
from bot.markdown import size
from bot.outbox import MAX_SHOWN
from bot.posts import PANEL_LIMIT
from bot.uploads import MAX_FILES
from tests.bot.conftest import OpenStage, all_text, said, text_of, with_buttons
from tests.integration.support import until

pytestmark = pytest.mark.slow


async def test_what_code_prints_pings_nobody_and_stays_in_its_block(open_stage: OpenStage) -> None:
    async with open_stage([Reply("@everyone <@1>", ["print('@everyone ``` <@1> \\x1b[31m' + '\\u202e')"])]) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "go")
        messages = await stage.ended(thread)
        text = all_text(messages)
        assert text.count("```") == 2
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert not any(message.mention_everyone or message.mentions for message in messages if message.author.bot)


async def test_a_flood_of_figures_and_a_huge_line_stay_within_the_limits(open_stage: OpenStage) -> None:
    code = "import matplotlib.pyplot as plt\nprint('x' * 5_000_000)\nfor n in range(25):\n    plt.plot([n, 1])\n    plt.show()"
    async with open_stage(None) as stage:
        thread = await stage.open(stage.member(), f"!run {code}")
        messages = await stage.ended(thread)
        assert all(size(text_of(message)) <= PANEL_LIMIT + 2 for message in messages)
        sent = [message.attachments for message in messages if message.attachments]
        assert all(len(attachments) <= MAX_FILES for attachments in sent)
        names = [attachment.filename for attachments in sent for attachment in attachments]
        assert len(names) == len(set(names)) == 26
        assert names[-1] == "output-1.txt"


async def test_an_error_of_discords_loses_nothing_and_posts_nothing_twice(open_stage: OpenStage) -> None:
    async with open_stage([Reply("I plot.", ["import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"])]) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run print('ready')")
        await stage.ended(thread)
        stage.env.inject_error("PATCH", f"/channels/{thread.id}/messages/*", status=500, times=1)
        stage.env.inject_error("POST", f"/channels/{thread.id}/messages", status=500, times=1)
        await ada.send(thread, "plot")
        messages = await stage.ended(thread, turns=2)
        assert [attachment.filename for message in messages for attachment in message.attachments] == ["figure-1.png"]
        assert all_text(messages).count("I plot.") == 1


async def test_files_that_discord_refuses_are_named_and_the_turn_ends(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run input('go? ')\nopen('a.txt', 'w').write('a');")
        await until(lambda: "asks: go?" in all_text(thread.history()))
        stage.env.inject_error("POST", f"/channels/{thread.id}/messages", status=413, message="too large", times=1)
        await ada.send(thread, "yes", reply_to=with_buttons(thread.history()))
        assert "Discord did not take a.txt" in all_text(await stage.ended(thread))


async def test_a_channel_without_threads_offers_direct_messages(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        stage.env.inject_error("POST", f"/channels/{stage.channel.id}/messages/*/threads", status=403, code=50013)
        await stage.member().send(stage.channel, f"{stage.mention} hi")
        assert "direct messages" in all_text(stage.channel.history())


async def test_when_the_service_ends_a_running_turn_says_that_it_was_stopped(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        thread = await stage.open(stage.member(), "!run print('begun', flush=True)\nwhile True: pass")
        await until(lambda: "begun" in all_text(thread.history()))
        await stage.service.aclose()
        assert "Cell 1 · stopped" in all_text(thread.history())
        assert "\n-# stopped" in all_text(thread.history())


async def test_a_thousand_figures_are_some_pictures_and_an_archive(open_stage: OpenStage) -> None:
    code = (
        "import base64\nfor n in range(1_000):\n"
        "    display({'image/png': base64.b64encode(b'picture %d' % n).decode()}, raw=True)\nprint('end')"
    )
    async with open_stage(None) as stage:
        messages = await stage.ended(await stage.open(stage.member(), f"!run {code}"))
        names = [attachment.filename for message in messages for attachment in message.attachments]
        assert len([name for name in names if name.endswith(".png")]) == MAX_SHOWN
        assert names[-1] == "figures-1.zip"
        assert len(messages) <= 10
        assert "end" in all_text(messages)


async def test_files_with_hostile_names_are_sent(open_stage: OpenStage) -> None:
    names = ["x" * 200 + ".txt", "\u202etxt.exe", "@everyone.txt", "```.txt", "a b\nc.txt", "é" * 100 + ".csv"]
    async with open_stage(None) as stage:
        messages = await stage.ended(await stage.open(stage.member(), f"!run for n in {names!r}: open(n, 'w').write(n)"))
        sent = [attachment.filename for message in messages for attachment in message.attachments]
        assert len(sent) == len(names)
        assert all(name.isprintable() and len(name) <= 100 for name in sent)
        assert not any(message.mention_everyone for message in messages)
        assert "Cell 1 · done" in all_text(messages)


async def test_questions_and_code_with_hostile_text_can_be_answered_and_shown(open_stage: OpenStage) -> None:
    hostile = "``` @everyone <@1> \\x1b[31m\\u202e" + "x" * 3_000
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run " + f"print(input('{hostile}')[::-1])"[:1_900] + "')[::-1])")
        await until(lambda: "The code asks" in all_text(thread.history()))
        form = await ada.click(with_buttons(thread.history()), label="Answer")
        assert form.modal is not None
        await ada.submit_modal(form, {form.modal["components"][0]["components"][0]["custom_id"]: "enoyreve@"})
        messages = await stage.ended(thread)
        assert "@\u200beveryone" in all_text(messages) or "@everyone" in all_text(messages).split("```")[1]
        assert not any(message.mention_everyone or message.mentions for message in messages if message.author.bot)
        shown = said(await ada.click(messages[-1], label="Show code"))
        assert shown.content.count("```") in (0, 2)


async def test_when_the_service_ends_commands_that_wait_are_to_be_asked_for_again(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run print('begun', flush=True)\nwhile True: pass")
        await until(lambda: "begun" in all_text(thread.history()))
        await ada.slash(thread, "run", code="print('waits')")
        await stage.service.aclose()
        text = all_text(thread.history())
        assert "has to be asked for again" in text
        assert "waits\n```" not in text
