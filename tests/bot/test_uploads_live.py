"""Files that come without words, and notebooks that become sessions, with the real bot and real kernels."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import simcord
from PIL import Image

from bot.agent.models.scripted import Reply, last_message
from bot.client import ThreadbookBot
from tests.bot.conftest import OpenStage, Stage, all_text, labels, said, text_of, with_buttons
from tests.integration.support import until

pytestmark = pytest.mark.slow

CSV = b"carat,price\n0.2,300\n0.3,500\n"


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48)).save(stream, "PNG")
    return stream.getvalue()


async def hand_in_directly(stage: Stage, who: simcord.MemberActor, name: str, content: bytes) -> Any:
    """Send a file by direct message and wait until it is shown."""
    await who.send_dm("hello")
    channel = who.user.dm_channel
    stored = stage.env.backend.store_attachments(channel.id, [(name, content)])
    await who.send_dm("", attachments=stored)
    await until(lambda: "Delete" in labels(channel.history()[-1]) and not stage.busy(channel))
    return channel


async def test_a_file_without_words_is_shown_with_a_preview_and_buttons(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        ada = stage.member()
        files = [("d.csv", CSV), ("p.png", picture()), ("x.json", b"{")]
        thread = await stage.open(ada, "", attachments=files)
        await until(lambda: "carat" in all_text(thread.history()))
        (message,) = [message for message in thread.history() if labels(message)]
        assert labels(message) == ["Analyse", "Extend", "Delete"] * 3
        text = text_of(message)
        assert "-# 2 rows × 2 columns\n```\ncarat price\n  0.2   300\n  0.3   500\n```" in text
        assert "-# a picture of 64 × 48 pixels" in text
        assert "⚠️" in text
        assert stage.model.requests == []
        # the kernel that looked into them is gone without a trace
        assert [info.session_id for info in await stage.interpreter.sessions() if info.user_id == str(ada.id)] == [
            f"discord-{thread.id}"
        ]


async def test_what_can_be_done_with_a_file_also_after_a_restart(open_stage: OpenStage) -> None:
    async with open_stage([lambda request: Reply(f"Got: {last_message(request)}")]) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "", attachments=[("d.csv", CSV)])
        await until(lambda: not stage.busy(thread) and any(map(labels, thread.history())))
        message = with_buttons(thread.history())
        await stage.env.restart_bot(ThreadbookBot(stage.service))
        (before,) = await stage.interpreter.files.list(ada.id)
        assert "d.csv expires" in said(await ada.click(message, label="Extend")).content
        (after,) = await stage.interpreter.files.list(ada.id)
        assert before.expires_at is not None
        assert after.expires_at is not None
        assert (after.expires_at - before.expires_at).total_seconds() == 48 * 3600
        assert "no file" in said(await stage.member("bob").click(message, label="Delete")).content
        await ada.click(message, label="Analyse")
        await stage.ended(thread)
        assert f"Analyse the file d.csv (file_id {before.file_id})" in last_message(stage.model.requests[0])
        assert said(await ada.click(message, label="Delete")).content == "d.csv is deleted."
        assert await stage.interpreter.files.list(ada.id) == []


async def test_without_a_model_a_file_is_analysed_by_a_cell(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        channel = await hand_in_directly(stage, ada, "d.csv", CSV)
        await ada.user.click(with_buttons(channel.history()), label="Analyse")
        assert "count" in all_text(await stage.ended(channel))


def notebook(*sources: str) -> bytes:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "source": source, "outputs": [], "execution_count": None, "metadata": {}, "id": f"cell{number}"}
        for number, source in enumerate(sources)
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


async def test_a_notebook_opens_as_a_session_of_its_own_thread(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        first = await stage.open(ada, "", attachments=[("a.ipynb", notebook("x = 20", "print(x + 1)", "print('last')"))])
        await until(lambda: not stage.busy(first) and any(map(labels, first.history())))
        await ada.click(with_buttons(first.history()), label="Open as session")
        (opened,) = [thread for thread in stage.channel.threads if thread.id != first.id]
        message = with_buttons(opened.history())
        assert "print(x + 1)" in text_of(message)
        await stage.env.restart_bot(ThreadbookBot(stage.service))
        await ada.select(message, ["2"])
        messages = await stage.ended(opened)
        assert "```\n21\n```" in all_text(messages)
        assert "last" not in text_of(messages[-1])
        shown = await ada.click(messages[-1], label="Show code")
        assert said(shown).content == "```py\nx = 20\n```\n```py\nprint(x + 1)\n```"
        await ada.click(message, label="Run all")
        assert "```\nlast\n```" in all_text(await stage.ended(opened, turns=2))
        assert "have run already" in said(await ada.click(message, label="Run all")).content
        await ada.send(opened, "!run print(x * 2)")
        assert "```\n40\n```" in all_text(await stage.ended(opened, turns=3))


async def test_a_notebook_opens_here_where_there_are_no_threads(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        await ada.send_dm("```py\ny = 1\n```")
        channel = ada.user.dm_channel
        await stage.ended(channel)
        await hand_in_directly(stage, ada, "a.ipynb", notebook("print('y' in globals())"))
        await ada.user.click(with_buttons(channel.history()), label="Open as session")
        await ada.user.click(with_buttons(channel.history()), label="Run all")
        assert "```\nFalse\n```" in all_text(await stage.ended(channel, turns=2))


async def test_what_is_no_notebook_is_refused_and_leaves_no_thread(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "", attachments=[("a.ipynb", b"{}")])
        await until(lambda: not stage.busy(thread) and any(map(labels, thread.history())))
        refused = await ada.click(with_buttons(thread.history()), label="Open as session")
        assert "is no notebook" in said(refused).content
        assert [each.id for each in stage.channel.threads] == [thread.id]


async def test_a_download_that_failed_is_shown(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        thread = await stage.open(stage.member(), "", attachments=[("big.csv", b"1" * 2**20 * 51)])
        await until(lambda: "⚠️ big.csv was not taken" in all_text(thread.history()))
        assert not [message for message in thread.history() if labels(message)]


async def test_a_look_into_a_file_ends_nobodys_kernel(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        sessions = [await stage.interpreter.session(ada.id, f"s{n}") for n in range(3)]
        for session in sessions:
            await session.execute("x = 1")
        assert not await stage.interpreter.has_room(ada.id)
        thread = await stage.open(ada, "", attachments=[("d.csv", CSV)])
        await until(lambda: not stage.busy(thread) and any(map(labels, thread.history())))
        assert "carat" not in all_text(thread.history())
        for session in sessions:
            assert (await session.execute("x")).status == "ok"
            await session.stop()
        assert await stage.interpreter.has_room(ada.id)
