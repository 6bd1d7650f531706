from __future__ import annotations

import gzip
import json
import math
import os
import subprocess
import sys
import types
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import NotebookNode

import notebooks_export
from kernel_manager.errors import StorageError, UsageError
from kernel_manager.execution.result import Status
from kernel_manager.sessions.history import (
    Cell,
    CellFinished,
    CellStarted,
    Entry,
    History,
    KernelEnded,
    Said,
    SessionCreated,
    SessionHistory,
)
from notebooks_export import to_notebook, write_notebook
from notebooks_export.__main__ import main
from notebooks_export.setup_cells import load_file_cell
from notebooks_export.surroundings import Surroundings

LOAD_FILE_FALLBACK = load_file_cell(Surroundings())["source"]

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
FIGURE = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=\n", "text/plain": "<Figure>"}, "metadata": {}}
TRACEBACK = {"output_type": "error", "ename": "NameError", "evalue": "x", "traceback": ["one", "two"]}


def cell(number: int = 1, code: str = "1 + 1", *outputs: dict[str, Any], **values: Any) -> Cell:
    defaults: dict[str, Any] = {
        "status": "ok",
        "finished_at": NOON + timedelta(seconds=2),
        "execution_count": number,
        "duration_s": 1.5,
        "outputs": list(outputs),
    }
    return Cell(f"{number:012x}", code, "m", "k", "run", NOON, **(defaults | values))


def session(*entries: Entry) -> SessionHistory:
    cells = [entry for entry in entries if isinstance(entry, Cell)]
    return SessionHistory("default", "local", NOON, list(entries), cells)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [item for item in notebook.cells if item.cell_type == "code"]


def sources(notebook: NotebookNode) -> list[str]:
    return [item.source for item in notebook.cells]


# The notebook.


def test_the_notebook_is_of_format_4_5_for_plain_python() -> None:
    notebook = to_notebook(session(cell()), python_version="3.12.4")
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook.metadata.language_info.name == "python"
    assert notebook.metadata.language_info.version == "3.12.4"


def test_it_begins_with_the_session_and_its_date() -> None:
    first = to_notebook(session()).cells[0]
    assert first.cell_type == "markdown"
    assert first.source == "# Session default\n\nA Threadbook session, begun on 2026-01-31 12:00 UTC."


def test_a_title_is_shown_as_it_is_and_not_as_markdown() -> None:
    heading = to_notebook(session(), title="5 * 4 * 3\n# <b>x</b>").cells[0].source.splitlines()[0]
    assert heading == r"# 5 \* 4 \* 3 \# \<b\>x\</b\>"


def test_cells_keep_their_code_count_and_outputs() -> None:
    stream = {"output_type": "stream", "name": "stdout", "text": "a\nb\n"}
    result = {"output_type": "execute_result", "data": {"text/plain": "2"}, "metadata": {}, "execution_count": 7}
    (made,) = code_cells(to_notebook(session(cell(7, "x\n", stream, FIGURE, result, status="ok"))))
    assert (made.source, made.execution_count) == ("x\n", 7)
    assert made.outputs == [stream, FIGURE, result]


def test_a_cells_metadata_tells_how_when_and_how_long_it_ran() -> None:
    (made,) = code_cells(to_notebook(session(cell())))
    assert made.metadata == {
        "threadbook": {"status": "ok", "duration_s": 1.5, "started_at": "2026-01-31T12:00:00.000Z"},
        "execution": {
            "iopub.status.busy": "2026-01-31T12:00:00.000Z",
            "iopub.execute_input": "2026-01-31T12:00:00.000Z",
            "shell.execute_reply": "2026-01-31T12:00:02.000Z",
            "iopub.status.idle": "2026-01-31T12:00:02.000Z",
        },
    }


def test_a_cell_that_raised_is_tagged_and_its_traceback_is_enough() -> None:
    (made,) = code_cells(to_notebook(session(cell(1, "x", TRACEBACK, status="error", cause="NameError: x"))))
    assert made.metadata.tags == ["raises-exception"]
    assert made.metadata.threadbook.cause == "NameError: x"
    assert made.outputs == [TRACEBACK]


@pytest.mark.parametrize("status", ["died", "timeout", "interrupted", "error"])
def test_a_cell_that_was_ended_says_why_in_one_line(status: Status) -> None:
    (made,) = code_cells(to_notebook(session(cell(1, "x", FIGURE, status=status, cause="Out of\nmemory.", state_lost=True))))
    assert made.outputs[0] == FIGURE
    assert made.outputs[1] == {
        "output_type": "stream",
        "name": "stderr",
        "text": "[Out of memory. The session's variables were lost.]\n",
    }
    stopped = [] if status == "error" else ["skip-execution"]
    assert made.metadata.tags == ["raises-exception", *stopped]


@pytest.mark.parametrize("status", [*(status for status in get_args(Status) if status != "ok"), None])
def test_even_without_a_cause_something_is_said(status: Status | None) -> None:
    (made,) = code_cells(to_notebook(session(cell(1, "x", status=status))))
    assert len(made.outputs[0].text) > 20


def test_an_unfinished_cell_is_no_failed_one() -> None:
    (made,) = code_cells(to_notebook(session(cell(1, "x", status=None, finished_at=None, execution_count=None))))
    assert made.metadata.threadbook.status == "unfinished"
    assert "tags" not in made.metadata
    assert set(made.metadata.execution) == {"iopub.status.busy", "iopub.execute_input"}


def test_what_was_said_becomes_markdown_with_its_speaker_and_the_text_as_it_was() -> None:
    text = "Plot **it**:\n\n```python\nx\n```\n  "
    notebook = to_notebook(session(Said("user", "A*nn", text, at=NOON), cell(), Said("assistant", "", "Done.")))
    assert [item.cell_type for item in notebook.cells] == ["markdown", "markdown", "code", "markdown"]
    assert notebook.cells[1].source == f"**A\\*nn** (user):\n\n{text}"
    assert notebook.cells[1].metadata.threadbook == {"role": "user", "name": "A*nn", "said_at": "2026-01-31T12:00:00.000Z"}
    assert notebook.cells[3].source == "**assistant** (assistant):\n\nDone."


def test_a_lost_kernel_is_told_before_the_next_cell_unless_a_cell_told_it() -> None:
    idle = KernelEnded("k", "it was idle", True)
    told = to_notebook(session(cell(1), idle, cell(2), idle))
    assert [item.cell_type for item in told.cells] == ["markdown", "code", "markdown", "code"]
    assert told.cells[2].source.startswith("*Here the kernel ended: it was idle.")
    died = cell(1, "x", status="died", state_lost=True)
    assert len(to_notebook(session(died, KernelEnded("k", "died", True), cell(2))).cells) == 3
    assert len(to_notebook(session(cell(1), KernelEnded("k", None, False), cell(2))).cells) == 3


def test_cell_ids_come_from_the_cells_and_stay_when_the_session_goes_on() -> None:
    entries: list[Entry] = [cell(1), Said("user", "Ann", "hi"), cell(2)]
    before = [item.id for item in to_notebook(session(*entries)).cells]
    after = [item.id for item in to_notebook(session(*entries, cell(3))).cells]
    assert before == ["title", "000000000001", "said-81255a0cc289", "000000000002"]
    assert after[:4] == before


def test_cells_that_share_an_id_or_have_an_impossible_one_get_their_own() -> None:
    strange = Cell("not an id!", "x", "m", "k", "run", NOON)
    ids = [item.id for item in to_notebook(session(cell(1), cell(1), cell(1), strange, strange)).cells]
    assert ids == ["title", "000000000001", "000000000001-2", "000000000001-3", "cell", "cell-4"]


# Outputs that no kernel should send.


@pytest.mark.parametrize(
    ("output", "valid"),
    [
        (
            {"output_type": "stream", "name": 3, "text": ["a", "b"], "x": 1},
            {"output_type": "stream", "name": "stdout", "text": "ab"},
        ),
        ({"output_type": "stream", "name": "stderr", "text": None}, {"output_type": "stream", "name": "stderr", "text": "null"}),
        (
            {
                "output_type": "display_data",
                "data": {"text/plain": {"a": 1}, "application/x+json": {"a": [math.nan]}},
                "transient": {},
            },
            {
                "output_type": "display_data",
                "data": {"text/plain": '{"a": 1}', "application/x+json": {"a": [None]}},
                "metadata": {},
            },
        ),
        (
            {"output_type": "display_data", "data": {"application/json": [1], "application/jsonlines": [1]}, "metadata": {}},
            {"output_type": "display_data", "data": {"application/json": [1], "application/jsonlines": "[1]"}, "metadata": {}},
        ),
        (
            {"output_type": "execute_result", "data": "x", "metadata": 1, "execution_count": -1},
            {"output_type": "execute_result", "data": {}, "metadata": {}, "execution_count": None},
        ),
        (
            {"output_type": "error", "ename": None, "evalue": "\udc80", "traceback": "text"},
            {"output_type": "error", "ename": "null", "evalue": "\ufffd", "traceback": []},
        ),
        (
            {"output_type": ["widget"]},
            {"output_type": "stream", "name": "stderr", "text": "[an output of the unknown kind ['widget'] was left out]\n"},
        ),
    ],
    ids=range(7),
)
def test_an_invalid_output_is_made_valid(output: dict[str, Any], valid: dict[str, Any]) -> None:
    (made,) = code_cells(to_notebook(session(cell(1, "x", output))))
    assert made.outputs == [valid]


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**700), st.floats(), st.text(st.characters(), max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
mimes = st.one_of(
    st.sampled_from(["text/plain", "application/json", "application/x+json", "application/json\n"]), st.text(max_size=5)
)
outputs = st.fixed_dictionaries(
    {"output_type": st.one_of(st.sampled_from(["stream", "display_data", "execute_result", "error"]), anything)},
    optional={
        "data": st.one_of(st.dictionaries(mimes, anything, max_size=3), anything),
        **dict.fromkeys(["metadata", "text", "name", "execution_count", "ename", "evalue", "traceback", "extra"], anything),
    },
)
texts = st.text(st.characters(), max_size=30)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
cells = st.builds(
    Cell,
    cell_id=st.one_of(st.sampled_from(["0123456789ab", "title", "said-1"]), texts),
    code=st.one_of(texts, st.just("load_file('x')")),
    msg_id=texts,
    kernel_id=texts,
    source=st.just("run"),
    started_at=moments,
    finished_at=st.one_of(st.none(), moments),
    status=st.sampled_from([*get_args(Status), None]),
    execution_count=st.one_of(st.none(), st.integers()),
    outputs=st.lists(outputs, max_size=3),
    display_ids=st.just({}),
    files=st.just([]),
    installed_packages=st.just([]),
    duration_s=st.floats(),
    cause=st.one_of(st.none(), texts),
    state_lost=st.booleans(),
)
said = st.builds(Said, role=st.sampled_from(["user", "assistant"]), name=texts, text=texts, at=st.one_of(st.none(), moments))
ended = st.builds(KernelEnded, kernel_id=texts, cause=st.one_of(st.none(), texts), state_lost=st.booleans())
histories = st.builds(
    SessionHistory,
    session_id=texts,
    user_id=texts,
    created_at=st.one_of(st.none(), moments),
    entries=st.lists(cells | said | ended, max_size=5),
).map(lambda made: SessionHistory(made.session_id, made.user_id, made.created_at, made.entries, session(*made.entries).cells))


@settings(deadline=None)
@given(histories, st.one_of(st.none(), texts))
def test_any_history_makes_a_valid_notebook_that_survives_the_disk(history: SessionHistory, title: str | None) -> None:
    notebook = to_notebook(history, title=title)
    nbformat.validate(notebook)
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    assert nbformat.reads(text.encode().decode(), as_version=4) == notebook  # type: ignore[no-untyped-call]
    json.loads(text, parse_constant=pytest.fail)
    shown = [item for item in history.entries if not isinstance(item, KernelEnded)]
    assert len([item for item in notebook.cells if "part" not in item.metadata.threadbook]) == len(shown)


@settings(max_examples=30, deadline=None)
@given(histories)
def test_the_same_history_makes_the_same_bytes(history: SessionHistory) -> None:
    one, other = (nbformat.writes(to_notebook(history)) for _ in range(2))  # type: ignore[no-untyped-call]
    assert one == other


def test_making_a_notebook_changes_nothing_in_the_history() -> None:
    history = session(cell(1, "x", {"output_type": "stream", "name": "stdout", "text": ["a", "b"]}))
    to_notebook(history)
    assert history.cells[0].outputs[0]["text"] == ["a", "b"]


# load_file outside of Threadbook.


def test_the_stand_in_for_load_file_comes_first_and_only_where_it_is_used() -> None:
    notebook = to_notebook(session(cell(1, "df = load_file('a.csv')")))
    assert sources(notebook)[1:] == [LOAD_FILE_FALLBACK, "df = load_file('a.csv')"]
    assert notebook.cells[1].execution_count is None
    assert len(to_notebook(session(cell(1, "my_load_files = 1"))).cells) == 2


def stand_in(**names: Any) -> Any:
    exec(compile(LOAD_FILE_FALLBACK, "fallback", "exec"), names)
    return names["load_file"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    return tmp_path


def test_the_stand_in_leaves_a_load_file_that_is_there_alone() -> None:
    assert stand_in(load_file=len) is len


def test_the_stand_in_opens_what_lies_beside_the_notebook_or_in_files(folder: Path) -> None:
    (folder / "a.json").write_text('\ufeff{"a": 1}', encoding="utf-8")
    (folder / "files" / "b.txt").write_text("é", encoding="utf-8")
    (folder / "files" / "c.bin").write_bytes(b"\xff\xfe\0")
    load_file = stand_in()
    assert load_file("a.json") == {"a": 1}
    assert load_file("b.txt") == "é"
    assert load_file("/files/b.txt") == "é"
    assert load_file("c.bin") == b"\xff\xfe\0"


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.csv", "read_csv"),
        ("a.TSV", "read_csv"),
        ("a.xlsx", "read_excel"),
        ("a.xls", "read_excel"),
        ("a.parquet", "read_parquet"),
    ],
)
def test_the_stand_in_gives_tables_to_pandas(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, reader: str) -> None:
    calls: list[tuple[str, str]] = []
    pandas = types.ModuleType("pandas")
    for function in ("read_csv", "read_excel", "read_parquet"):
        setattr(pandas, function, lambda path, function=function, **_: calls.append((function, str(path))))
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    (folder / name).touch()
    stand_in()(name)
    assert calls == [(reader, name)]


@pytest.mark.parametrize(
    ("content", "sep", "decimal", "encoding"),
    [
        (b"region,amount\nNorth,1.5\n", ",", ".", "utf-8-sig"),
        ("region;amount\nWest\u00e9;1,5\n\n".encode(), ";", ",", "utf-8-sig"),
        ("region;amount\nWest\u00e9;1,5".encode("cp1252"), ";", ",", "cp1252"),
        (b"a\tb\n1.5\t2\n", "\t", ".", "utf-8-sig"),
        (b"a;b\n1,5;2.5\n", ";", ".", "utf-8-sig"),
        (b"one\n1\n", ",", ".", "utf-8-sig"),
        (b"", ",", ".", "utf-8-sig"),
        (b"a|b\n" + b"1|2\n" * 60_000 + b"\xff", "|", ".", "utf-8-sig"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_stand_in_sees_how_a_table_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, sep: str, decimal: str, encoding: str, packed: bool
) -> None:
    pandas = types.ModuleType("pandas")
    pandas.read_csv = lambda path, **options: options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    name = "a.csv.gz" if packed else "a.csv"
    (folder / name).write_bytes(gzip.compress(content) if packed else content)
    assert stand_in()(name) == {"sep": sep, "decimal": decimal, "encoding": encoding}
    assert stand_in()(name, sep="#")["sep"] == "#"


def test_the_stand_in_says_where_to_put_a_missing_file_and_what_is_there(folder: Path) -> None:
    (folder / "files" / "b.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"'a\.csv' is not there\. Put the file beside this notebook.*files/b\.txt"):
        stand_in()("a.csv")


# On disk.


def test_a_written_notebook_reads_back_and_no_other_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "made" / "out.ipynb"
    path.parent.mkdir()
    path.write_text("old")
    notebook = to_notebook(session(cell(1, "é", FIGURE)))
    write_notebook(notebook, path)
    assert nbformat.read(path, as_version=4) == notebook  # type: ignore[no-untyped-call]
    assert path.read_bytes().endswith(b"}\n")
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made" / "out.ipynb"
    path.parent.mkdir()
    path.write_text("old")

    def fail(fd: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("notebooks_export.disk.os.fsync", fail)
    with pytest.raises(StorageError, match="No space left on device; free space"):
        write_notebook(to_notebook(session()), path)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.ipynb").write_text("old")
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "real.ipynb")
    write_notebook(to_notebook(session()), tmp_path / "link.ipynb")
    assert (tmp_path / "link.ipynb").is_symlink()
    assert nbformat.read(tmp_path / "real.ipynb", as_version=4).nbformat == 4  # type: ignore[no-untyped-call]


def test_folders_devices_and_missing_folders_are_refused(tmp_path: Path) -> None:
    notebook = to_notebook(session())
    for place, problem in [
        (tmp_path, "not a file"),
        (Path("/dev/null"), "not a file"),
        (tmp_path / "no" / "a", "does not exist"),
    ]:
        with pytest.raises(UsageError, match=problem):
            write_notebook(notebook, place)
    assert Path("/dev/null").is_char_device()


# The command.


def write_history(path: Path) -> None:
    history = History(path, lambda: NOON)
    history.append(SessionCreated("My session", "local"))
    history.append(CellStarted("0" * 12, "1 + 1", "m", "k"))
    history.append(CellFinished("0" * 12, "ok", 1, [FIGURE]))
    history.close()


def test_the_command_writes_the_notebook_and_prints_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_history(tmp_path / "history.jsonl")
    out = tmp_path / "out.ipynb"
    assert main([str(tmp_path / "history.jsonl"), "-o", str(out)]) == 0
    assert capsys.readouterr() == (f"{out}\n", "")
    assert nbformat.read(out, as_version=4).cells[1].outputs == [FIGURE]  # type: ignore[no-untyped-call]


def test_without_a_name_the_notebook_is_called_after_the_session(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_history(folder / "history.jsonl")
    assert main(["history.jsonl"]) == 0
    name = capsys.readouterr().out.strip()
    assert name.startswith("my-session-")
    assert (folder / name).is_file()


def test_damaged_lines_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.jsonl"
    write_history(path)
    with path.open("ab") as file:
        file.write(b"broken\n")
    assert main([str(path), "-o", str(tmp_path / "out.ipynb")]) == 0
    assert "1 damaged line" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["missing", "folder", "empty", "picture", "no-out-folder", "NUL"])
def test_bad_input_is_one_line_and_exit_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: str) -> None:
    path, out = tmp_path / "h", str(tmp_path / "out.ipynb")
    if bad == "folder":
        path.mkdir()
    elif bad in ("empty", "picture"):
        path.write_bytes(b"" if bad == "empty" else b"\x89PNG\r\n\x1a\n\0\0\0")
    elif bad == "no-out-folder":
        write_history(path)
        out = str(tmp_path / "no" / "out.ipynb")
    assert main([f"{path}\0" if bad == "NUL" else str(path), "-o", out]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert len(told.err) > 30


def test_wrong_arguments_are_one_line_and_exit_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "example: python -m notebooks_export" in capsys.readouterr().out


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    write_history(tmp_path / "h")
    project = Path(notebooks_export.__file__).parent.parent
    command = [sys.executable, "-m", "notebooks_export", str(tmp_path / "h"), "-o", str(tmp_path / "out.ipynb")]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.ipynb").is_file()
