"""What a turn looks like in Discord, as snapshots, and exactly at the limits."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.agent.events import (
    AgentEvent,
    CodeEnded,
    CodeStarted,
    FigureShown,
    FileWritten,
    InputWanted,
    OutputShown,
    PackagesInstalling,
    TextDelta,
    TextEnded,
    TextWithdrawn,
    TurnEnded,
    TurnUsage,
)
from bot.markdown import size
from bot.rendering import PANEL_LIMIT, Files, Panel, Post, TurnRendering
from bot.tables import WIDTH, shown_table
from bot.uploads import MAX_FILES, of_bytes, pack
from kernel_manager.execution.events import OutputAdded, OutputsCleared, StreamExtended
from kernel_manager.execution.result import ExecutionResult, WrittenFile

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MIB = 2**20


def png(content: bytes = b"picture") -> dict[str, Any]:
    return {"image/png": base64.b64encode(content).decode(), "text/plain": "<Figure>"}


def rendered(*events: AgentEvent) -> list[Post]:
    rendering = TurnRendering(10 * MIB)
    for event in events:
        rendering.take(event, NOW)
    return rendering.posts()


def stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def ended(status: Any = "completed", reason: str | None = None) -> TurnEnded:
    return TurnEnded(status, "", TurnUsage(seconds=0.25), reason)


def result(*outputs: dict[str, Any], status: Any = "ok", **more: Any) -> ExecutionResult:
    return ExecutionResult(status, 1, list(outputs), duration_s=0.25, **more)


def cell(*outputs: dict[str, Any], **more: Any) -> tuple[CodeStarted, CodeEnded]:
    return CodeStarted(1, "code"), CodeEnded(1, result(*outputs, **more))


def panels(posts: list[Post]) -> list[Panel]:
    return [post for post in posts if isinstance(post, Panel)]


def test_a_turn_with_a_figure() -> None:
    started, done = cell(stream("42\n"), {"output_type": "display_data", "data": png(), "metadata": {}})
    posts = rendered(TextEnded("I plot it."), started, FigureShown(png(), "a line"), done, TextEnded("Here it is."), ended())
    assert posts == [
        Panel("I plot it.\n✅ Cell 1 · done · 0.2 s\n```\n42\n```"),
        Files((of_bytes("figure-1.png", b"picture", "a line"),)),
        Panel("Here it is.\n-# done · 1 cell · 0.2 s", ("again", "code", "notebook", "reset")),
    ]


def test_a_running_cell_shows_its_newest_output_and_a_stop_button() -> None:
    events = (
        CodeStarted(1, "…"),
        OutputShown(OutputAdded(0, stream("old\n"))),
        OutputShown(OutputsCleared()),
        OutputShown(OutputAdded(0, stream("1 %"))),
        OutputShown(StreamExtended(0, "\r99 %")),
    )
    (panel,) = rendered(TextDelta("So "), TextWithdrawn(0, "again"), *events)
    assert panel == Panel(f"▶️ Cell 1 · running since <t:{int(NOW.timestamp())}:R>\n```\n99 %\n```\n-# ⏳ working", ("stop",))


def test_an_installation_shows_how_far_it_is() -> None:
    (panel,) = rendered(CodeStarted(1, "…"), PackagesInstalling("seaborn *"))
    assert panel == Panel("▶️ Cell 1 · installing · seaborn \\*\n-# ⏳ working", ("stop",))


def test_a_question_has_an_answer_button_and_cannot_mention() -> None:
    (panel,) = rendered(CodeStarted(1, "…"), InputWanted("<@1> name? ", False, lambda _: None))
    assert isinstance(panel, Panel)
    assert panel.buttons == ("answer", "stop")
    assert "⌨️ The code asks: \\<\\@1\\> name?" in panel.text


def test_an_error_shows_the_frames_that_matter() -> None:
    error = {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero", "traceback": []}
    (panel,) = rendered(*cell(error, status="error"), ended())
    assert panel == Panel(
        "❌ Cell 1 · failed · 0.2 s\n```\nZeroDivisionError: division by zero\n```\n-# done · 1 cell · 0.2 s",
        ("again", "code", "notebook", "reset"),
    )


def test_a_failed_turn_says_why() -> None:
    assert rendered(ended("failed", "the key is wrong")) == [
        Panel("-# failed · no code · the key is wrong", ("notebook", "reset")),
    ]


def test_a_dead_kernel_is_explained() -> None:
    (panel,) = rendered(*cell(status="died", cause="it ran out of memory", state_lost=True), ended())
    assert isinstance(panel, Panel)
    assert (
        "💥 Cell 1 · its kernel died · 0.2 s\n-# it ran out of memory\n-# All variables of this session are lost." in panel.text
    )


def test_hostile_output_stays_in_its_block_and_pings_nobody() -> None:
    (panel,) = rendered(TextEnded("hi @everyone"), *cell(stream("```\n# big\n@here\x1b[31m")), ended())
    assert isinstance(panel, Panel)
    assert panel.text.count("```") == 2
    assert "@everyone" not in panel.text
    assert "\x1b" not in panel.text


@pytest.mark.parametrize("length", [PANEL_LIMIT - 100, PANEL_LIMIT, 7_999, 8_000])
def test_no_panel_is_longer_than_discord_allows(length: int) -> None:
    posts = rendered(TextEnded("word " * (length // 5)), ended())
    assert all(size(panel.text) <= PANEL_LIMIT for panel in panels(posts))
    assert sum(panel.text.count("word") for panel in panels(posts)) == length // 5


def test_a_panel_is_filled_to_exactly_the_limit() -> None:
    footer = "-# done · no code"
    room = PANEL_LIMIT - 1 - len(footer)
    lines = "\n".join(["x" * 99] * (room // 100) + ["x" * (room % 100)])
    assert len(lines) == room
    (panel,) = rendered(TextEnded(lines), ended())
    assert isinstance(panel, Panel)
    assert size(panel.text) == PANEL_LIMIT
    assert len(rendered(TextEnded(lines + "x"), ended())) == 2


def test_a_long_answer_goes_along_as_a_file() -> None:
    text = "word\n" * 3_000
    posts = rendered(TextEnded(text), ended())
    assert Files((of_bytes("answer.md", text.encode()),)) in posts
    assert all(size(panel.text) <= PANEL_LIMIT for panel in panels(posts))
    assert "the answer goes on in the file" in "".join(panel.text for panel in panels(posts))


def test_ten_megabytes_of_one_line_become_a_file() -> None:
    line = "x" * (10 * MIB - 10)
    panel, files, _ = rendered(*cell(stream(line)), ended())
    assert isinstance(panel, Panel)
    assert "characters cut" in panel.text
    assert size(panel.text) < 2_000
    assert files == Files((of_bytes("output-1.txt", line.encode()),))


def test_the_same_picture_is_posted_once() -> None:
    started, done = cell()
    posts = rendered(started, FigureShown(png(), ""), FigureShown(png(), ""), FigureShown(png(b"other"), ""), done, ended())
    (files,) = (post for post in posts if isinstance(post, Files))
    assert [upload.filename for upload in files.uploads] == ["figure-1.png", "figure-3.png"]


def test_a_file_over_the_limit_is_named_with_what_to_do() -> None:
    file = WrittenFile("big_one.bin", "/w/big_one.bin", 11 * MIB, "application/octet-stream")
    fitting = WrittenFile("sub/ok.bin", "/w/sub/ok.bin", 10 * MIB, "application/octet-stream")
    started, done = cell()
    panel, files, _ = rendered(started, FileWritten(file), FileWritten(fitting), done, ended())
    assert isinstance(panel, Panel)
    assert "big\\_one.bin has 11.0 MiB and Discord takes 10 MiB here" in panel.text
    assert isinstance(files, Files)
    assert [(upload.filename, upload.content) for upload in files.uploads] == [("ok.bin", Path("/w/sub/ok.bin"))]


def test_files_are_packed_by_number_and_by_bytes() -> None:
    ones = [of_bytes(f"{n}", b"x") for n in range(MAX_FILES + 1)]
    assert [len(batch) for batch in pack(ones, 100).batches] == [MAX_FILES, 1]
    assert [len(batch) for batch in pack(ones[:4], 2).batches] == [2, 2]
    assert pack([of_bytes("a", b"xxx")], 2).too_large == (of_bytes("a", b"xxx"),)


def html(*rows: tuple[str, ...]) -> str:
    return "<table>" + "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows) + "</table>"


def test_a_small_table_is_text() -> None:
    table = shown_table(html(("", "carat"), ("0", "0.23"), ("1", "0.21")))
    assert table is not None
    assert (table.text, table.csv) == ("  carat\n0  0.23\n1  0.21", None)


def test_a_wide_table_shows_the_columns_that_fit_and_brings_the_rest_as_csv() -> None:
    rows = [tuple(f"column {n}" for n in range(9)), tuple(str(n) for n in range(9))]
    table = shown_table(html(*rows))
    assert table is not None
    assert max(map(len, table.text.splitlines())) <= WIDTH
    assert table.text.endswith("… 5 more columns")
    assert table.csv is not None
    assert table.csv.decode().splitlines()[1] == "0,1,2,3,4,5,6,7,8"
