"""The real bot in a simulated Discord, with real kernels."""

from __future__ import annotations

import asyncio
import json

import pytest

from bot.agent.items import UserMessage
from bot.agent.items import text_of as text_of_parts
from bot.agent.models.protocol import ModelRequest
from bot.agent.models.scripted import Reply, last_answer, last_message
from bot.client import ThreadbookBot
from tests.bot.conftest import OpenStage, all_text, labels, said, text_of, with_buttons
from tests.integration.support import until

pytestmark = pytest.mark.slow

CSV = b"carat,price\n0.2,300\n0.3,500\n"
PLOT = "import matplotlib.pyplot as plt\ndf = load_file('diamonds.csv')\ndf.plot(x='carat', y='price')\nplt.show()"


async def test_from_a_csv_to_a_figure_to_a_follow_up_to_a_notebook(open_stage: OpenStage) -> None:
    script = [
        Reply("I plot it.", [PLOT]),
        Reply("Here it is."),
        Reply("", ["print(df['price'].mean())"]),
        lambda request: Reply(last_answer(request)),
    ]
    async with open_stage(script) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "plot price", attachments=[("diamonds.csv", CSV)])
        messages = await stage.ended(thread)
        figures = [attachment.filename for message in messages for attachment in message.attachments]
        assert figures == ["figure-1.png"]
        assert "I plot it." in all_text(messages)
        assert "Here it is." in text_of(messages[-1])
        assert labels(messages[-1]) == ["Run again", "Edit & run", "Show code", "Notebook", "Reset"]
        assert "diamonds.csv" in last_message(stage.model.requests[0])

        await ada.send(thread, "what is the mean?")
        messages = await stage.ended(thread, turns=2)
        assert "400.0" in text_of(messages[-1])

        shown = await ada.click(messages[-1], label="Show code")
        assert "df['price'].mean()" in said(shown).content
        made = await ada.click(messages[-1], label="Notebook")
        (notebook,) = said(made).attachments
        document = json.loads(await stage.env.bot.http.get_from_cdn(notebook.url))
        assert "df['price'].mean()" in json.dumps(document)


async def test_messages_that_arrive_while_a_turn_runs_are_answered_together(open_stage: OpenStage) -> None:
    release = asyncio.Event()

    async def wait(_: ModelRequest) -> Reply:
        await release.wait()
        return Reply("First.")

    async with open_stage([wait, lambda request: Reply(f"To: {last_message(request)}")]) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "one")
        await until(lambda: stage.model.requests)
        await ada.send(thread, "two")
        await ada.send(thread, "three")
        release.set()
        messages = await stage.ended(thread, turns=2)
        assert len(stage.model.requests) == 2
        asked = "\n".join(text_of_parts(item.parts) for item in stage.model.requests[1].items if isinstance(item, UserMessage))
        assert "two" in asked
        assert "three" in asked
        assert "First." in all_text(messages)


async def test_stop_ends_a_cell_and_shows_what_it_printed(open_stage: OpenStage) -> None:
    async with open_stage([Reply("", ["print('begun', flush=True)\nwhile True: pass"])]) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "go")
        await until(lambda: "begun" in all_text(thread.history()))
        assert labels(with_buttons(thread.history())) == ["Stop"]
        await ada.click(with_buttons(thread.history()), label="Stop")
        await until(lambda: not stage.busy(thread))
        text = all_text(thread.history())
        assert "⏹️ Cell 1 · stopped\n```\nbegun\n```\n-# stopped" in text
        await ada.send(thread, "!run print(6 * 7)")
        assert "42" in all_text(await stage.ended(thread))


async def test_two_people_in_two_threads_have_their_own_variables(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada, bob = stage.member("ada"), stage.member("bob")
        first = await stage.open(ada, "```py\nx = 'from ada'\nprint(x)\n```")
        second = await stage.open(bob, "```py\nprint('x' in globals())\n```")
        assert "from ada" in all_text(await stage.ended(first))
        assert "False" in all_text(await stage.ended(second))
        await bob.send(first, "!run print(x)")
        refused = await bob.click(with_buttons(first.history()), label="Run again")
        assert "somebody else's" in said(refused).content
        assert not stage.busy(first)


async def test_without_a_model_words_are_answered_with_what_to_do(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        thread = await stage.open(stage.member(), "what is the mean?")
        await until(lambda: "no language model" in all_text(thread.history()))


async def test_input_is_answered_by_a_form_or_by_a_reply(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run name = input('Name? ')\nage = input('Age? ')\nprint(name, age)")
        await until(lambda: "asks: Name?" in all_text(thread.history()))
        shown = await ada.click(with_buttons(thread.history()), label="Answer")
        assert shown.modal is not None
        await ada.submit_modal(shown, {shown.modal["components"][0]["components"][0]["custom_id"]: "Ada"})
        await until(lambda: "asks: Age?" in all_text(thread.history()))
        await ada.send(thread, "36", reply_to=with_buttons(thread.history()))
        assert "Ada 36" in all_text(await stage.ended(thread))


async def test_a_new_bot_knows_the_threads_and_buttons_of_the_one_before(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run x = 20 + 1")
        before = with_buttons(await stage.ended(thread))
        await stage.env.restart_bot(ThreadbookBot(stage.service))
        await ada.send(thread, "!run print(2 * x)")
        assert "42" in all_text(await stage.ended(thread, turns=2))
        await ada.click(before, label="Run again")
        await stage.ended(thread, turns=3)
        shown = await ada.click(before, label="Show code")
        assert said(shown).content == "```py\nx = 20 + 1\n```"


async def test_reset_begins_anew_and_keeps_files(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run x = 1", attachments=[("d.csv", CSV)])
        await stage.ended(thread)
        result = await ada.slash(thread, "reset")
        assert "Begun anew" in said(result).content
        await ada.send(thread, "!run print('x' in globals(), len(load_file('d.csv')))")
        assert "False 2" in all_text(await stage.ended(thread, turns=2))


async def test_direct_messages_are_the_default_session(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        await ada.send_dm("```py\nprint(1 + 1)\n```")
        channel = ada.user.dm_channel
        assert "```\n2\n```" in all_text(await stage.ended(channel))
        assert [info.session_id for info in await stage.interpreter.sessions() if info.user_id == str(ada.id)] == ["default"]


async def test_a_file_without_words_is_taken_and_shown(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        thread = await stage.open(stage.member(), "", attachments=[("d.csv", CSV)])
        await until(lambda: "d.csv" in all_text(thread.history()))
        assert "load_file(" in all_text(thread.history())
        assert stage.model.requests == []


async def test_commands_open_threads_and_say_where_they_belong(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        refused = await ada.slash(stage.channel, "notebook")
        assert "mention me or use /new" in said(refused).content
        opened = await ada.slash(stage.channel, "new", name="mine")
        (thread,) = stage.channel.threads
        assert thread.mention in said(opened).content
        await ada.slash(thread, "run", code="print(40 + 2)")
        assert "42" in all_text(await stage.ended(thread))
        idle = await ada.slash(thread, "stop")
        assert said(idle).content == "Nothing runs here."
