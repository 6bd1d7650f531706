from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kernel_manager.execution.events import (
    CellFinished,
    CellStarted,
    DisplayUpdated,
    Event,
    OutputAdded,
    OutputReplaced,
    OutputsCleared,
    PackagesInstalled,
    PackagesInstalling,
    SessionWaiting,
    StreamExtended,
)
from kernel_manager.execution.result import ExecutionResult, Output, WrittenFile
from tests.threadbook.fakes import FakeStream, display, error, stream, value
from tests.threadbook.test_figures import PNG
from threadbook.figures import FigureFolder
from threadbook.printing import CellPrinter, WaitingPrinter, closing_lines, readable_size, readable_text
from threadbook.remainder import NOT_LIVE
from threadbook.terminal import Terminal

FIGURE = {"image/png": base64.b64encode(PNG).decode(), "text/plain": "<Figure size 640x480 with 1 Axes>"}


class Shown:
    """A printer, and what was written."""

    def __init__(self, folder: Path, *, terminal: bool = False, numbered: bool = False) -> None:
        self.out, self.err = FakeStream(terminal=terminal), FakeStream(terminal=terminal)
        self.seconds = 100.0
        self.figures = folder / "figures"
        figures = FigureFolder(self.figures, lambda: datetime(2026, 1, 31, 9, 30, 5))
        screen = Terminal(self.out, self.err)
        self.printer = CellPrinter(screen, figures, "sales", numbered=numbered, clock=lambda: self.seconds)

    def show(self, *events: Event) -> Shown:
        for event in events:
            self.printer.show(event)
        return self

    def finish(self, *outputs: Output, **result: Any) -> Shown:
        return self.show(CellFinished(ExecutionResult(**{"status": "ok", "outputs": list(outputs), **result})))

    @property
    def stdout(self) -> str:
        return self.out.getvalue()

    @property
    def stderr(self) -> str:
        return self.err.getvalue()


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    return Shown(tmp_path)


def path_of(shown: Shown, number: int, suffix: str = ".png") -> Path:
    return shown.figures / f"20260131-093005-{number}{suffix}"


class TestStreams:
    def test_appear_as_they_grow(self, shown: Shown) -> None:
        shown.show(CellStarted(1), OutputAdded(0, stream("a")))
        assert shown.stdout == "a"
        shown.show(StreamExtended(0, "b\n"), OutputAdded(1, stream("c", "stderr")), StreamExtended(1, "d"))
        assert (shown.stdout, shown.stderr) == ("ab\n", "cd")

    def test_are_not_repeated_at_the_end(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, stream("a")), StreamExtended(0, "b")).finish(stream("ab"))
        assert shown.stdout == "ab"

    def test_cannot_command_the_terminal(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, stream("a\x1b]52;c;")), StreamExtended(0, "ZXZpbA==\x07b"))
        assert shown.stdout == "ab"

    def test_show_their_end_when_there_was_too_much(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, stream("aaa" + NOT_LIVE))).finish(stream("aa\n… 90 characters cut …\nbb"))
        assert shown.stdout.endswith("cut …\nbb\n")

    def test_a_terminal_gets_its_prompt_on_a_new_line(self, tmp_path: Path) -> None:
        shown = Shown(tmp_path, terminal=True).show(OutputAdded(0, stream("a"))).finish(stream("a"))
        assert shown.stdout == "a\n"


class TestResults:
    def test_are_shown_as_text(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, value("42"))).finish(value("42"))
        assert (shown.stdout, shown.stderr) == ("42\n", "")

    def test_begin_on_a_new_line(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, stream("no end")), OutputAdded(1, value("42")))
        assert shown.stdout == "no end\n42\n"

    def test_have_their_number_in_the_console(self, tmp_path: Path) -> None:
        shown = Shown(tmp_path, numbered=True).show(OutputAdded(0, value("42", 3)), OutputAdded(1, value("a\nb", 3)))
        assert shown.stdout == "Out[3]: 42\nOut[3]: \na\nb\n"

    def test_tables_are_text(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, value({"text/plain": "   a\n0  1", "text/html": "<table></table>"})))
        assert shown.stdout == "   a\n0  1\n"

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            ({"text/plain": "<IPython.core.display.Markdown object>", "text/markdown": "# *Title*"}, "# *Title*"),
            ({"text/plain": "<IPython.core.display.Latex object>", "text/latex": "$x$"}, "$x$"),
            ({"text/plain": "<IPython.core.display.JSON object>", "application/json": {"a": 1}}, '{\n  "a": 1\n}'),
            ({"text/plain": "<__main__.Thing object at 0x7f00>"}, "<__main__.Thing object at 0x7f00>"),
            ({"text/plain": ["two\n", "lines"]}, "two\nlines"),
            ({"text/html": "<b>"}, None),
        ],
    )
    def test_a_placeholder_gives_way_to_what_a_person_can_read(self, data: dict[str, Any], text: str | None) -> None:
        assert readable_text(data) == text

    def test_a_formula_is_text_although_it_has_a_picture(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, display({**FIGURE, "text/plain": "x/2", "text/latex": "$x/2$"})))
        assert shown.stdout == "x/2\n"

    def test_what_cannot_be_shown_is_named(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, display({"application/x-thing": "…", "application/y": 1})))
        assert shown.stdout == "[application/x-thing, application/y: not shown in a terminal]\n"


class TestFigures:
    def test_are_saved_and_their_place_printed(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, display(FIGURE))).finish(display(FIGURE))
        path = path_of(shown, 1)
        assert shown.stdout == f"figure: {path} (640x480)\n"
        assert path.read_bytes() == PNG

    def test_pages_are_saved_too(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, display({"text/html": "<b>hi</b>", "text/plain": "<IPython.core.display.HTML object>"})))
        path = path_of(shown, 1, ".html")
        assert shown.stdout == f"page: {path}\n"
        assert path.read_text() == "<b>hi</b>"

    def test_that_cannot_be_saved_do_not_stop_the_cell(self, shown: Shown) -> None:
        shown.figures.write_text("in the way")
        shown.show(OutputAdded(0, display(FIGURE)), OutputAdded(1, value("42")))
        assert shown.stdout == "42\n"
        assert shown.stderr == "figure not saved: File exists\n"

    def test_that_change_keep_their_file(self, shown: Shown) -> None:
        other = {"image/png": base64.b64encode(PNG + b"more").decode()}
        shown.show(OutputAdded(0, display(FIGURE)), *(OutputReplaced(0, display(other)) for _ in range(3)))
        assert path_of(shown, 1).read_bytes() == PNG
        shown.finish(display(other))
        assert path_of(shown, 1).read_bytes() == PNG + b"more"
        assert shown.stdout.count("figure: ") == 2
        assert not path_of(shown, 2).exists()


class TestErrors:
    def test_are_shown_with_their_traceback_and_a_line_of_cause(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, error(traceback=["\x1b[31mTraceback\x1b[0m", "ValueError: no"])))
        shown.finish(error(), status="error", cause="ValueError: no")
        assert (shown.stdout, shown.stderr) == ("", "Traceback\nValueError: no\nerror: ValueError: no\n")

    def test_keep_their_colours_on_a_terminal(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        shown = Shown(tmp_path, terminal=True).show(OutputAdded(0, error(traceback=["\x1b[31mred\x1b[39m\x1b]0;t\x07"])))
        assert shown.stderr == "\x1b[31mred\x1b[39m\n\x1b[0m"

    def test_without_traceback_are_named(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, error(traceback=[])))
        assert shown.stderr == "ValueError: no\n"

    def test_are_not_explained_twice_in_the_console(self, tmp_path: Path) -> None:
        shown = Shown(tmp_path, numbered=True).show(OutputAdded(0, error()))
        shown.finish(error(), status="error", cause="ValueError: no")
        assert shown.stderr == "Traceback\nValueError: no\n"


class TestChanges:
    def test_are_shown_at_once_but_not_too_often(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, display({"text/plain": "0"})))
        for number in range(1, 10):
            shown.seconds += 0.0625
            shown.show(OutputReplaced(0, display({"text/plain": str(number)})))
        assert shown.stdout.split() == ["0", "1", "5", "9"]
        shown.seconds += 0.0625
        shown.show(OutputReplaced(0, display({"text/plain": "last"}))).finish(display({"text/plain": "last"}))
        assert shown.stdout.split() == ["0", "1", "5", "9", "last"]

    def test_of_earlier_cells_are_shown(self, shown: Shown) -> None:
        shown.show(DisplayUpdated("d", {"text/plain": "done"}, {}))
        assert shown.stdout == "done\n"

    def test_of_earlier_cells_are_not_shown_beside_the_same_display_of_this_one(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, display({"text/plain": "done"})), DisplayUpdated("d", {"text/plain": "done"}, {}))
        assert shown.stdout == "done\n"

    def test_cleared_outputs_let_the_line_be_overwritten(self, tmp_path: Path) -> None:
        shown = Shown(tmp_path, terminal=True)
        shown.show(OutputAdded(0, stream("10%")), OutputsCleared(), OutputAdded(0, stream("20%"))).finish(stream("20%"))
        assert shown.stdout == "10%\r\x1b[K20%\n"


class TestWaiting:
    @pytest.mark.parametrize(("pid", "who"), [(17, "process 17"), (None, "another process")])
    def test_is_said(self, shown: Shown, pid: int | None, who: str) -> None:
        shown.show(SessionWaiting(pid))
        assert (shown.stdout, shown.stderr) == ("", f"session sales is in use by {who}; waiting\n")

    def test_is_all_that_a_silent_printer_says(self) -> None:
        out, err = FakeStream(), FakeStream()
        printer = WaitingPrinter(Terminal(out, err), "sales")
        for event in (SessionWaiting(17), OutputAdded(0, stream("a")), CellFinished(ExecutionResult("error", cause="no"))):
            printer.show(event)
        assert (out.getvalue(), err.getvalue()) == ("", "session sales is in use by process 17; waiting\n")


class TestInstalling:
    def test_is_told_as_it_goes_on(self, shown: Shown) -> None:
        shown.show(
            PackagesInstalling(("a",), "looking for a"), PackagesInstalled(("a",), ("a==1",)), OutputAdded(0, stream("b\n"))
        )
        assert (shown.stdout, shown.stderr) == ("b\n", "looking for a\n")

    def test_is_told_by_a_silent_printer_too(self) -> None:
        out, err = FakeStream(), FakeStream()
        WaitingPrinter(Terminal(out, err), "sales").show(PackagesInstalling(("a",), "installing a 1"))
        assert (out.getvalue(), err.getvalue()) == ("", "installing a 1\n")


class TestEnd:
    def test_of_a_good_cell_is_silent(self) -> None:
        assert list(closing_lines(ExecutionResult("ok"))) == []

    def test_tells_cause_and_loss(self) -> None:
        result = ExecutionResult("died", cause="out of memory\nreally", state_lost=True)
        assert list(closing_lines(result)) == [
            "died: out of memory really",
            "state lost: the session's variables are gone; it goes on with a fresh kernel",
        ]

    def test_tells_why_a_good_cell_found_a_fresh_kernel(self) -> None:
        assert list(closing_lines(ExecutionResult("ok", cause="idle for too long", state_lost=True))) == [
            "state lost: idle for too long"
        ]

    def test_names_what_was_installed_and_written(self) -> None:
        files = [WrittenFile("a\x1b.csv", "/w/a\x1b.csv", 1_234, "text/csv")]
        result = ExecutionResult("ok", files=files, installed_packages=["seaborn==0.13.2", "x==1"])
        assert list(closing_lines(result)) == ["installed: seaborn==0.13.2, x==1", r"wrote: /w/a\x1b.csv (1.2 KB)"]

    def test_counts_the_files_that_are_too_many_to_name(self) -> None:
        files = [WrittenFile(f"d/{number}", f"/w/d/{number}", 1, "text/plain") for number in range(25)]
        lines = list(closing_lines(ExecutionResult("ok", files=files)))
        assert len(lines) == 21
        assert lines[-1] == "and 5 more files in /w"

    def test_shows_what_was_not_announced(self, shown: Shown) -> None:
        shown.show(OutputAdded(0, value("1")))
        shown.finish(value("1"), stream("… 3 outputs cut …\n", "stderr"), value("5"))
        assert (shown.stdout, shown.stderr) == ("1\n5\n", "… 3 outputs cut …\n")

    def test_of_one_cell_leaves_nothing_for_the_next(self, shown: Shown) -> None:
        for text in ("a\n", "b\n"):
            shown.show(OutputAdded(0, stream(text))).finish(stream(text))
        assert shown.stdout == "a\nb\n"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1_000, "1.0 KB"), (999_999, "1.0 MB"), (2_500_000_000, "2.5 GB")],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert readable_size(size) == text
