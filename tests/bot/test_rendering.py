"""What a turn looks like in Discord, as snapshots, and exactly at the limits."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.agent.events import (
    AgentEvent,
    CodeEnded,
    CodeRunning,
    CodeStarted,
    FigureShown,
    FileWritten,
    InputWanted,
    OutputShown,
    PackagesInstalled,
    PackagesInstalling,
    TextDelta,
    TextEnded,
    TextWithdrawn,
    TurnWaiting,
    Warned,
)
from bot.markdown import size
from bot.outbox import MAX_FILES_OF_CELL, MAX_SHOWN
from bot.posts import COMPONENT_LIMIT, PANEL_LIMIT, Files, posts_of
from bot.uploads import MAX_FILES, of_bytes
from kernel_manager.execution.events import OutputAdded, OutputEvent, OutputReplaced, OutputsCleared, StreamExtended
from kernel_manager.execution.result import WrittenFile
from tests.bot.looks import MIB, NOW, cell, ended, files, looks, panels, rendered, rendering_of, result, shown, stream

Event = AgentEvent | float
AFTER = "[again] [edit] [code] [notebook] [reset]"


def png(content: bytes = b"picture", **more: Any) -> dict[str, Any]:
    return {"image/png": base64.b64encode(content).decode(), "text/plain": "<Figure>", **more}


def written(name: str, size: int = 10, mime: str = "application/octet-stream") -> WrittenFile:
    return WrittenFile(name, f"/w/{name}", size, mime)


class TestATurn:
    def test_with_a_figure(self) -> None:
        started, done = cell(stream("42\n"), shown(png()))
        events = (TextEnded("I plot it."), started, CodeRunning(), FigureShown(png(), "a line"), done, TextEnded("Here it is."))
        assert (
            looks(*events, ended())
            == f"""\
· I plot it.
· ✅ Cell 1 · done · 0.2 s
```
42
```
----
📎 figure-1.png “a line”
----
· Here it is.
· -# done · 1 cell · 0.2 s
{AFTER}"""
        )

    def test_that_goes_on_has_a_stop_button_and_grows(self) -> None:
        events: list[AgentEvent] = [TextDelta("So "), TextWithdrawn(0, "again"), TextDelta("I plot")]
        assert looks(*events) == "· I plot\n· -# ⏳ working\n[stop]"

    def test_that_failed_says_why(self) -> None:
        assert looks(ended("failed", "the key is wrong")) == "· -# failed · no code · the key is wrong\n[notebook] [reset]"

    def test_that_waits_says_so(self) -> None:
        assert looks(TurnWaiting()) == "· -# ⏳ waiting for another turn of this session\n[stop]"

    def test_warns(self) -> None:
        assert looks(Warned("*x*"), ended()) == "· -# ⚠️ \\*x\\*\n· -# done · no code\n[notebook] [reset]"


class TestACell:
    def state(self, *events: AgentEvent) -> str:
        return looks(CodeStarted(1, "…"), *events).partition("\n")[0]

    def test_says_what_it_is_at(self) -> None:
        assert self.state() == "· ▶️ Cell 1 · starting"
        assert self.state(TurnWaiting()) == "· ▶️ Cell 1 · queued behind another turn of this session"
        assert self.state(PackagesInstalling("seaborn *")) == "· ▶️ Cell 1 · installing · seaborn \\*"
        assert self.state(TurnWaiting(), CodeRunning()) == "· ▶️ Cell 1 · running since <t:1767323045:R>"

    def test_shows_its_newest_output(self) -> None:
        events: list[OutputEvent] = [
            OutputAdded(0, stream("old\n")),
            OutputsCleared(),
            OutputAdded(0, stream("1 %")),
            StreamExtended(0, "\r99 %"),
        ]
        assert (
            looks(CodeStarted(1, "…"), CodeRunning(), *[OutputShown(event) for event in events])
            == """\
· ▶️ Cell 1 · running since <t:1767323045:R>
```
99 %
```
· -# ⏳ working
[stop]"""
        )

    def test_that_runs_is_only_glanced_at(self) -> None:
        html = "<p>" * 60_000
        events = [OutputShown(OutputAdded(n, shown({"text/html": html, "text/plain": f"value {n}"}))) for n in range(200)]
        rendering = rendering_of(CodeStarted(1, "…"), CodeRunning(), *events)
        begun = time.process_time()
        for _ in range(10):
            assert "value 199" in panels(rendering.posts())[0].text
        assert time.process_time() - begun < 1

    def test_names_what_was_installed(self) -> None:
        started, done = cell()
        assert looks(started, PackagesInstalled(("seaborn==0.13.2",)), done).startswith(
            "· -# installed seaborn==0.13.2\n· ✅ Cell 1"
        )

    def test_waits_for_those_before_it(self) -> None:
        started, done = cell(status="error")
        assert "· -# Cells 2–3 · queued\n" in looks(started, planned=3)
        assert "· -# Cell 2 · not run\n" in looks(started, done, ended(), planned=2)

    def test_that_failed_shows_the_error(self) -> None:
        error = {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero", "traceback": []}
        assert (
            looks(*cell(stream("before"), error, status="error"), ended())
            == f"""\
· ❌ Cell 1 · failed · 0.2 s
```
before
```
```
ZeroDivisionError: division by zero
```
· -# done · 1 cell · 0.2 s
{AFTER}"""
        )

    def test_that_ended_its_kernel_is_explained(self) -> None:
        assert """\
· 💥 Cell 1 · its kernel died · 0.2 s
-# it ran out of memory
-# All variables of this session are lost.
""" in looks(*cell(status="died", cause="it ran out of memory", state_lost=True), ended())

    def test_that_was_stopped_shows_what_it_printed(self) -> None:
        events = (CodeStarted(1, "…"), OutputShown(OutputAdded(0, stream("begun"))), ended("stopped", "stopped"))
        assert "⏹️ Cell 1 · stopped\n```\nbegun\n```\n· -# stopped · 1 cell" in looks(*events)


class TestAQuestion:
    def ask(self, prompt: str, *, password: bool = False) -> InputWanted:
        return InputWanted(prompt, password, lambda _: None)

    def test_has_a_button_and_cannot_mention(self) -> None:
        text = looks(CodeStarted(1, "…"), self.ask("<@1> name? "))
        assert "⌨️ The code asks: \\<\\@1\\> name?\n-# Press Answer, or reply to this message.\n[answer] [stop]" in text

    def test_and_its_answer_stand_in_the_cell(self) -> None:
        rendering = rendering_of(CodeStarted(1, "…"), self.ask("Name? "))
        rendering.note_answer("A*da")
        assert rendering.posts()[-1].buttons == ("stop",)
        assert "-# ⌨️ Name? → A\\*da" in panels(rendering.posts())[0].text

    def test_for_a_secret_is_never_answered_in_sight(self) -> None:
        rendering = rendering_of(CodeStarted(1, "…"), self.ask("Password: ", password=True))
        assert "reply" not in panels(rendering.posts())[0].text
        assert "Press Answer, do not write it here" in panels(rendering.posts())[0].text
        rendering.note_answer("hunter2")
        assert "hunter2" not in repr(rendering.posts())
        assert "Password\\: → ••••" in panels(rendering.posts())[0].text


class TestFigures:
    def test_of_a_running_cell_are_posted_once_they_stand(self) -> None:
        figure = OutputShown(OutputAdded(1, shown(png())))
        events: list[Event] = [
            CodeStarted(1, "…"),
            CodeRunning(),
            OutputShown(OutputAdded(0, stream("one\n"))),
            figure,
        ]
        assert "figure" not in looks(*events, 1.4)
        more = OutputShown(OutputAdded(2, stream("two\n")))
        assert (
            looks(*events, 1.5, more)
            == """\
· ⤵️ Cell 1
```
one
```
----
📎 figure-1.png
----
· ▶️ Cell 1 · running since <t:1767323045:R>
```
two
```
· -# ⏳ working
[stop]"""
        )
        done = CodeEnded(1, result(stream("one\n"), shown(png()), stream("two\n"), shown(png(b"other"))))
        assert (
            looks(*events, 1.5, more, FigureShown(png(), ""), FigureShown(png(b"other"), ""), done, ended())
            == f"""\
· ⤵️ Cell 1
```
one
```
----
📎 figure-1.png
----
· ✅ Cell 1 · done · 0.2 s
```
two
```
----
📎 figure-2.png
----
· -# done · 1 cell · 0.2 s
{AFTER}"""
        )

    @pytest.mark.parametrize("taken_back", [OutputsCleared(), OutputReplaced(0, shown(png(b"1")))])
    def test_of_an_animation_are_posted_at_its_end(self, taken_back: Any) -> None:
        frames = [OutputShown(event) for event in (taken_back, OutputAdded(0, shown(png(b"2"))))]
        events: list[Event] = [CodeStarted(1, "…"), OutputShown(OutputAdded(0, shown(png(b"0")))), 2.0]
        moving = [*events, *frames, 5.0, *frames, 5.0]
        assert [upload.content for upload in files(rendered(*moving))] == [b"0"]
        done = CodeEnded(1, result(shown(png(b"2"))))
        assert [upload.content for upload in files(rendered(*moving, FigureShown(png(b"2"), ""), done))] == [b"0", b"2"]

    def test_that_stand_only_for_a_moment_are_not_posted(self) -> None:
        frame: list[Event] = [OutputShown(OutputsCleared()), OutputShown(OutputAdded(0, shown(png()))), 1.0]
        assert files(rendered(CodeStarted(1, "…"), *frame, *frame, *frame)) == []

    def test_are_posted_once_each(self) -> None:
        started, done = cell()
        same = [FigureShown(png(), ""), FigureShown(png(), ""), FigureShown(png(b"other"), "")]
        assert [upload.filename for upload in files(rendered(started, *same, done))] == ["figure-1.png", "figure-2.png"]

    def test_that_are_saved_too_are_posted_once_under_that_name(self) -> None:
        note = {"threadbook": {"figure": {"axes": [], "saved": ["plot.png", "plot.pdf", "more"]}}}
        saved = [written("out/plot.png", mime="image/png"), written("plot.pdf", mime="application/pdf")]
        started, done = cell({**shown(png()), "metadata": note}, files=saved)
        events: list[Event] = [started, FigureShown(png(), "a line"), *map(FileWritten, saved), done]
        assert looks(*events).split("----\n")[1] == "📎 plot.png “a line”\n📎 plot.pdf\n[keep]\n"
        early: list[Event] = [
            started,
            OutputShown(OutputAdded(0, shown(png()))),
            2.0,
            FigureShown(png(), ""),
            *map(FileWritten, saved),
            done,
        ]
        assert [upload.filename for upload in files(rendered(*early))] == ["figure-1.png", "plot.pdf"]
        assert "-# saved as out/plot.png" in looks(*early)

    def test_that_are_shown_twice_and_saved_are_posted_once(self) -> None:
        note = {"threadbook": {"figure": {"axes": [], "saved": ["plot.png"]}}}
        output, saved = {**shown(png()), "metadata": note}, written("plot.png", mime="image/png")
        started, done = cell(output, output, files=[saved])
        figure = FigureShown(png(), "")
        assert [upload.filename for upload in files(rendered(started, figure, figure, FileWritten(saved), done))] == ["plot.png"]

    def test_of_a_kind_that_discord_does_not_show_are_files(self) -> None:
        started, done = cell()
        posts = rendered(
            started, FigureShown({"image/svg+xml": "<svg/>"}, ""), FigureShown({"application/pdf": "eHk="}, ""), done
        )
        assert [(upload.filename, upload.content) for upload in files(posts)] == [
            ("figure-1.svg", b"<svg/>"),
            ("figure-2.pdf", b"xy"),
        ]

    def test_by_the_thousand_come_as_an_archive(self) -> None:
        started, done = cell()
        many = [FigureShown(png(str(n).encode()), "") for n in range(1_000)]
        posts = rendered(started, *many, done, ended())
        sent = [upload for upload in files(posts) if isinstance(upload.content, bytes)]
        assert len(sent) == MAX_SHOWN
        assert sum(len(upload.content) for upload in files(posts) if isinstance(upload.content, tuple)) == 1_000 - MAX_SHOWN
        assert "-# 970 more are in figures-1.zip" in panels(posts)[0].text

    def test_too_many_in_one_turn_count_together(self) -> None:
        events: list[Event] = []
        for number in range(1, 6):
            figures = [FigureShown(png(f"{number} {n}".encode()), "") for n in range(10)]
            events += [CodeStarted(number, ""), *figures, CodeEnded(number, result())]
        sent = [upload for upload in files(rendered(*events)) if isinstance(upload.content, bytes)]
        assert len(sent) == MAX_SHOWN


class TestFiles:
    def test_that_the_code_wrote_can_be_kept(self) -> None:
        started, done = cell()
        assert looks(started, FileWritten(written("sub/a.csv")), done).split("----\n")[1] == "📎 a.csv\n[keep]\n"

    def test_over_the_limit_are_named_with_what_to_do_or_compressed(self) -> None:
        started, done = cell()
        sizes = {"big_one.zip": 11 * MIB, "big.csv": 11 * MIB, "huge.csv": 201 * MIB, "ok.bin": 10 * MIB}
        posts = rendered(started, *(FileWritten(written(name, size)) for name, size in sizes.items()), done, ended())
        text = panels(posts)[0].text
        assert "big\\_one.zip has 11.0 MiB and Discord takes 10 MiB here; ask for a smaller one" in text
        assert "huge.csv has 201.0 MiB" in text
        assert [upload.filename for upload in files(posts)] == ["big.csv.zip", "ok.bin"]

    def test_too_many_of_one_cell_come_as_an_archive(self) -> None:
        started, done = cell()
        posts = rendered(started, *(FileWritten(written(f"{n}.txt")) for n in range(50)), done)
        assert len(files(posts)) == MAX_FILES_OF_CELL + 1
        assert "-# 30 more are in files-1.zip" in panels(posts)[0].text
        assert all(len(post.uploads) <= MAX_FILES and post.buttons == ("keep",) for post in posts if isinstance(post, Files))

    def test_that_are_too_much_even_so_are_counted(self) -> None:
        started, done = cell()
        posts = rendered(started, *(FileWritten(written(f"{n}.txt", 9 * MIB)) for n in range(30)), done)
        assert "-# and 5 more files are too much for here" in panels(posts)[0].text

    @pytest.mark.parametrize("name", ["x" * 300 + ".csv", "\u202efdp.exe", "a\nb.txt", "…/" + "é" * 200, "@everyone.txt", "."])
    def test_have_names_that_can_be_shown(self, name: str) -> None:
        started, done = cell()
        (upload,) = files(rendered(started, FileWritten(WrittenFile(name, "/w/x", 1, "text/plain")), done))
        assert 1 <= len(upload.filename) <= 80
        assert upload.filename.isprintable()


class TestOutputs:
    def block(self, *outputs: dict[str, Any]) -> str:
        return panels(rendered(*cell(*outputs)))[0].texts[0].partition("\n")[2]

    def test_markdown_is_shown_as_such(self) -> None:
        assert self.block(stream("a"), shown({"text/markdown": "**b** @everyone"})) == "```\na\n```\n**b** @\u200beveryone"

    def test_a_formula_is_its_picture(self) -> None:
        assert self.block(shown({**png(), "text/latex": "$x$"})) == ""

    def test_html_is_its_words(self) -> None:
        html = "<style>p {}</style><h1>Title</h1><p>one &amp; two</p>"
        assert (
            self.block(shown({"text/html": html, "text/plain": "<IPython.core.display.HTML object>"}))
            == "```\nTitle\none & two\n```"
        )

    def test_json_is_indented(self) -> None:
        assert self.block(shown({"application/json": {"a": [1]}})) == "```\n" + json.dumps({"a": [1]}, indent=1) + "\n```"

    def test_an_interactive_chart_is_a_page(self) -> None:
        chart = {"application/vnd.plotly.v1+json": {}, "text/html": "<div><script>draw()</script></div>"}
        posts = rendered(*cell(shown({"text/html": "<script>library()</script>"}), shown(chart)))
        (page,) = files(posts)
        assert page.filename == "page-1.html"
        assert isinstance(page.content, bytes)
        assert page.content.startswith(b"<!doctype html>")
        assert b"draw()" in page.content
        assert "-# open page-1.html in a browser" in panels(posts)[0].text

    def test_long_text_is_cut_and_a_file(self) -> None:
        posts = rendered(*cell(stream("x" * 2_000)))
        assert "characters cut" in panels(posts)[0].text
        assert files(posts) == [of_bytes("output-1.txt", b"x" * 2_000)]

    def test_an_error_keeps_its_room(self) -> None:
        error = {"output_type": "error", "ename": "E", "evalue": "e" * 5_000, "traceback": []}
        posts = rendered(*cell(stream("x" * 5_000), error, status="error"))
        assert panels(posts)[0].text.count("characters cut") == 2
        assert [upload.size for upload in files(posts)] == [10_001 + len("E: ")]


class TestHostileText:
    def test_stays_in_its_block_and_pings_nobody(self) -> None:
        (panel,) = panels(rendered(TextEnded("hi @everyone"), *cell(stream("```\n# big\n@here\x1b[31m")), ended()))
        assert panel.text.count("```") == 2
        assert "@everyone" not in panel.text
        assert "\x1b" not in panel.text

    @pytest.mark.parametrize(
        "text", ["```", "```py\nx", "**bold", "||spoiler", "> ", ">>> quote", "# ", "-# small", "[a](", "<t:1:R"]
    )
    def test_of_a_model_cannot_format_what_follows(self, text: str) -> None:
        (panel,) = panels(rendered(TextEnded(text), *cell(stream("x")), ended()))
        assert panel.texts[1:] == ("✅ Cell 1 · done · 0.2 s\n```\nx\n```", "-# done · 1 cell · 0.2 s")
        assert panel.texts[0].count("```") % 2 == 0

    def test_of_ten_megabytes_in_one_line_becomes_a_file(self) -> None:
        line = "x" * (10 * MIB - 10)
        posts = rendered(*cell(stream(line)), ended())
        assert size(panels(posts)[0].text) < 2_000
        assert files(posts) == [of_bytes("output-1.txt", line.encode())]

    def test_that_no_file_can_hold_is_replaced(self) -> None:
        lone = "\ud800" * 2_000
        assert files(rendered(*cell(stream(lone))))[0].content == b"?" * 2_000
        assert files(rendered(TextEnded(lone * 5), ended()))[0].content == b"?" * 10_000


class TestLimits:
    @pytest.mark.parametrize("length", [PANEL_LIMIT - 100, PANEL_LIMIT, 7_999, 8_000])
    def test_no_panel_is_longer_than_discord_allows(self, length: int) -> None:
        posts = panels(rendered(TextEnded("word " * (length // 5)), ended()))
        assert all(size(panel.text) <= PANEL_LIMIT + len(panel.texts) for panel in posts)
        assert sum(panel.text.count("word") for panel in posts) == length // 5

    def test_a_panel_is_filled_to_exactly_the_limit(self) -> None:
        room = PANEL_LIMIT - len("-# done · no code")
        lines = "\n".join(["x" * 99] * (room // 100) + ["x" * (room % 100)])
        assert len(lines) == room
        (panel,) = panels(rendered(TextEnded(lines), ended()))
        assert sum(map(size, panel.texts)) == PANEL_LIMIT
        assert len(rendered(TextEnded(lines + "x"), ended())) == 2

    def test_a_panel_has_no_more_components_than_discord_allows(self) -> None:
        posts = panels(posts_of(f"{n}" for n in range(100)))
        assert sum(len(panel.texts) for panel in posts) == 100
        assert max(len(panel.texts) for panel in posts) + 1 + 5 == COMPONENT_LIMIT

    def test_a_long_answer_goes_along_as_a_file(self) -> None:
        text = "word\n" * 3_000
        posts = rendered(TextEnded(text), ended())
        assert files(posts) == [of_bytes("answer.md", text.encode())]
        assert "the answer goes on in the file" in "".join(panel.text for panel in panels(posts))


def test_paths_of_files_are_as_the_service_sees_them() -> None:
    started, done = cell()
    (upload,) = files(rendered(started, FileWritten(written("sub/ok.bin")), done))
    assert upload.content == Path("/w/sub/ok.bin")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["text", "long", "cell", "figure", "remark"]), max_size=30))
def test_messages_are_the_same_whether_they_are_looked_at_on_the_way_or_not(kinds: list[str]) -> None:
    watched, other = rendering_of(), rendering_of()
    for number, kind in enumerate(kinds):
        events: dict[str, list[AgentEvent]] = {
            "text": [TextDelta("So"), TextEnded(f"text {number}")],
            "long": [TextEnded(f"word {number}\n" * 300)],
            "cell": [*cell(stream("x\n" * 200))],
            "figure": [CodeStarted(1, ""), FigureShown(png(str(number).encode()), ""), CodeEnded(1, result())],
            "remark": [Warned("careful")],
        }
        for event in events[kind]:
            watched.take(event, NOW)
            other.take(event, NOW)
            watched.posts()
    assert watched.posts() == other.posts()
