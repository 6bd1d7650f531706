from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kernel_manager
from kernel_manager.errors import ClosedError, StorageError
from kernel_manager.execution.result import ExecutionResult, WrittenFile
from kernel_manager.sessions.history import (
    MAX_ANSWER,
    MAX_NAME,
    MAX_SAID,
    Answer,
    AnyRecord,
    Cell,
    CellFinished,
    CellStarted,
    DisplayUpdated,
    History,
    InputAnswered,
    KernelEnded,
    KernelStarted,
    Said,
    SessionCreated,
    decode,
    encode,
    plain_json,
    timestamp,
)

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
PROJECT = Path(kernel_manager.__file__).parent.parent
FIGURE = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}, "metadata": {}}


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def started(number: int, code: str = "1 + 1") -> CellStarted:
    return CellStarted(cell_id=f"{number:012x}", code=code, msg_id=f"m{number}", kernel_id="k1")


def finished(number: int, *outputs: dict[str, Any], **values: Any) -> CellFinished:
    return CellFinished(cell_id=f"{number:012x}", status=values.pop("status", "ok"), outputs=list(outputs), **values)


ONE_OF_EACH: list[AnyRecord] = [
    SessionCreated(session_id="default", user_id="local"),
    KernelStarted(kernel_id="k1", generation="2026-01"),
    started(1, "x = 'é'\nx"),
    finished(
        1,
        FIGURE,
        {"output_type": "stream", "name": "stdout", "text": "\x1b[31mred\u2028\n"},
        execution_count=3,
        display_ids={"d": [0]},
        files=[WrittenFile("out.csv", "/data/out.csv", 12, "text/csv")],
        installed_packages=["seaborn==0.13.2"],
        duration_s=1.5,
        cause="a reason",
        state_lost=True,
    ),
    InputAnswered(cell_id=f"{1:012x}", prompt="name? ", answer="Ada é"),
    DisplayUpdated(display_id="d", data={"text/plain": "new"}, metadata={"m": 1}),
    Said(role="user", name="Ann", text="hello\nthere", imported=True),
    KernelEnded(kernel_id="k1", cause="idle", state_lost=True),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    made = History(path, Clock())
    yield made
    made.close()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def append_all(history: History, *records: AnyRecord) -> None:
    for record in records:
        history.append(record)


# Records and lines.


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda record: type(record).__name__)
def test_a_record_reads_back_as_it_was_written(record: AnyRecord) -> None:
    read = decode(encode(record, NOON))
    assert read == record
    assert read is not None
    assert read.at == NOON


def test_a_line_names_its_kind_its_version_and_its_time_in_utc_with_milliseconds() -> None:
    at = datetime(2026, 1, 31, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    line = encode(Said(role="user", name="Ann", text="hi"), at)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "type": "said",
        "v": 1,
        "at": "2026-01-31T12:00:00.123Z",
        "role": "user",
        "name": "Ann",
        "text": "hi",
        "imported": False,
    }


def test_a_moment_has_milliseconds_even_when_they_are_zero() -> None:
    assert timestamp(NOON) == "2026-01-31T12:00:00.000Z"


def test_a_result_becomes_a_record() -> None:
    result = ExecutionResult(status="died", execution_count=2, outputs=[FIGURE], duration_s=2.0, cause="why", state_lost=True)
    assert CellFinished.of("0" * 12, result, {"d": [0]}) == CellFinished(
        "0" * 12, "died", 2, [FIGURE], {"d": [0]}, duration_s=2.0, cause="why", state_lost=True
    )


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters())),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(st.characters()), inner, max_size=3)),
    max_leaves=8,
)
hostile_values = st.one_of(
    json_values,
    st.sampled_from(
        [math.nan, math.inf, 10**5000, -(10**5000), "\udc80\ud800", b"bytes", {10**5000: object}, (1, 2), {"\udfff": [math.nan]}]
    ),
)


def is_plain(value: Any) -> bool:
    return bool(value == json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode()))


@given(hostile_values)
def test_anything_becomes_plain_json(value: Any) -> None:
    assert is_plain(plain_json(value))


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), lambda inner: st.lists(inner, max_size=3)))
def test_what_is_plain_json_already_stays_as_it_is(value: Any) -> None:
    assert plain_json(value) == value


@given(hostile_values)
def test_hostile_outputs_are_written_as_one_utf8_line_and_read_back(value: Any) -> None:
    line = encode(finished(1, {"output_type": "display_data", "data": {"application/json": value}, "metadata": {}}), NOON)
    assert line.decode("utf-8").count("\n") == 1
    read = decode(line)
    assert isinstance(read, CellFinished)
    assert is_plain(read.outputs)


def test_endless_nesting_is_cut() -> None:
    value: Any = "inside"
    for _ in range(20_000):
        value = [value]
    read = decode(encode(DisplayUpdated("d", {"application/json": value}), NOON))
    assert isinstance(read, DisplayUpdated)
    assert "nested too deeply" in json.dumps(read.data)


def test_a_duration_that_is_no_number_reads_as_none_at_all() -> None:
    read = decode(encode(finished(1, duration_s=math.nan), NOON))
    assert read == finished(1, duration_s=0.0)


FINISHED = b'{"type": "cell_finished", "v": 1, "at": "2026-01-31T12:00:00Z", "cell_id": "a", "status": "ok", '


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0" * 50,
        b"{",
        b"[1]",
        b'"text"',
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"type": 3, "v": 1}',
        b'{"type": "said", "v": 1, "role": "user", "name": "a", "text": "no time"}',
        b'{"type": "said", "v": 1, "at": "yesterday", "role": "user", "name": "a", "text": "t"}',
        b'{"type": "said", "v": 1, "at": "0001-01-01T00:00:00+14:00", "role": "user", "name": "a", "text": "t"}',
        b'{"type": "said", "v": 1, "at": "2026-01-31T12:00:00Z", "role": "robot", "name": "a", "text": "t"}',
        b'{"type": "said", "v": 1, "at": "2026-01-31T12:00:00Z", "role": "user", "name": "a"}',
        b'{"type": "said", "at": "2026-01-31T12:00:00Z", "role": "user", "name": "a", "text": "no version"}',
        FINISHED + b'"outputs": [1]}',
        FINISHED + b'"display_ids": {"a": 1}}',
        FINISHED + b'"files": [{}]}',
        FINISHED + b'"execution_count": true}',
        b'{"type": "kernel_ended", "v": 1, "at": "2026-01-31T12:00:00Z", "kernel_id": "a", "state_lost": 1}',
        b'{"type": "display_updated", "v": 1, "at": "2026-01-31T12:00:00Z", "display_id": "a", "data": ' + b"9" * 5000 + b"}",
    ],
    ids=range(20),
)
def test_a_damaged_line_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode(line)


def test_kinds_versions_and_fields_of_the_future_are_passed_over() -> None:
    known = {"v": 1, "at": "2026-01-31T12:00:00Z", "role": "user", "name": "Ann", "text": "hi"}
    assert decode(json.dumps({"type": "dreamt", "v": 1, "at": "2026-01-31T12:00:00Z"}).encode()) is None
    assert decode(json.dumps(known | {"type": "said", "v": 2}).encode()) is None
    assert decode(json.dumps(known | {"type": "said", "mood": "fine"}).encode()) == Said("user", "Ann", "hi")


# What a log comes to.


def test_a_file_that_is_not_there_is_an_empty_history(history: History) -> None:
    read = history.read()
    assert (read.session_id, read.entries, read.unfinished, read.created_at) == ("", [], None, None)


def test_a_history_says_whose_it_is_and_holds_what_happened_in_order(history: History) -> None:
    append_all(history, *ONE_OF_EACH)
    read = history.read()
    assert (read.session_id, read.user_id, read.last_kernel_id, read.damaged_lines) == ("default", "local", "k1", 0)
    assert read.created_at == NOON + timedelta(seconds=1)
    assert [type(entry) for entry in read.entries] == [Cell, Said, KernelEnded]
    said = read.entries[1]
    assert isinstance(said, Said)
    assert said.at == NOON + timedelta(seconds=7)


def test_a_cell_joins_its_start_and_its_end(history: History) -> None:
    append_all(history, *ONE_OF_EACH)
    (cell,) = history.read().cells
    assert (cell.cell_id, cell.code, cell.msg_id, cell.kernel_id, cell.source) == (
        "000000000001",
        "x = 'é'\nx",
        "m1",
        "k1",
        "run",
    )
    assert (cell.status, cell.execution_count, cell.duration_s, cell.cause, cell.state_lost) == ("ok", 3, 1.5, "a reason", True)
    assert (cell.started_at, cell.finished_at) == (NOON + timedelta(seconds=3), NOON + timedelta(seconds=4))
    assert cell.files == [WrittenFile("out.csv", "/data/out.csv", 12, "text/csv")]
    assert cell.installed_packages == ["seaborn==0.13.2"]


def test_an_updated_display_shows_what_it_became_in_every_earlier_cell(history: History) -> None:
    append_all(
        history,
        started(1),
        finished(1, FIGURE, FIGURE, display_ids={"d": [1, 7]}),
        started(2),
        finished(2, FIGURE, display_ids={"d": [0]}),
        started(3),
        DisplayUpdated("d", {"text/plain": "one"}),
        DisplayUpdated("d", {"text/plain": "two"}, {"k": "v"}),
        DisplayUpdated("other", {"text/plain": "no one's"}),
        finished(3, FIGURE, display_ids={"d": [0]}),
    )
    updated = {"output_type": "display_data", "data": {"text/plain": "two"}, "metadata": {"k": "v"}}
    assert [cell.outputs for cell in history.read().cells] == [[FIGURE, updated], [updated], [FIGURE]]


def test_a_cell_without_an_end_is_unfinished_as_long_as_it_is_the_last(history: History) -> None:
    append_all(history, started(1), KernelEnded("k1", "killed", True))
    read = history.read()
    assert read.unfinished == read.cells[0]
    assert read.cells[0].status is None
    append_all(history, started(2), finished(2))
    assert history.read().unfinished is None


def test_a_cell_that_was_sent_twice_before_its_end_is_one_cell(history: History) -> None:
    first, second = started(1), replace(started(1), msg_id="again")
    append_all(history, first, second)
    read = history.read()
    assert [cell.msg_id for cell in read.cells] == ["again"]
    assert read.unfinished == read.cells[0]
    append_all(history, finished(1, FIGURE))
    (cell,) = history.read().cells
    assert (cell.status, cell.outputs, cell.started_at) == ("ok", [FIGURE], NOON + timedelta(seconds=1))


def test_an_end_whose_start_is_lost_keeps_its_outputs(history: History) -> None:
    append_all(history, KernelStarted("k2", "g"), finished(7, FIGURE))
    (cell,) = history.read().cells
    assert (cell.code, cell.outputs, cell.status, cell.kernel_id) == ("", [FIGURE], "ok", "k2")


def test_the_later_of_two_ends_counts(history: History) -> None:
    append_all(history, started(1), finished(1, status="died"), finished(1, FIGURE))
    (cell,) = history.read().cells
    assert (cell.status, cell.outputs) == ("ok", [FIGURE])


# The file.


def test_the_file_is_for_its_owner_only(history: History, path: Path) -> None:
    history.append(ONE_OF_EACH[0])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_is_never_overwritten(history: History, path: Path) -> None:
    history.append(started(1))
    with path.open("r+b") as other:
        other.write(b"X")
    history.append(started(2))
    assert path.read_bytes().startswith(b"X")
    assert path.read_bytes().count(b"\n") == 2


def test_each_record_is_one_write(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    write = os.write

    def spy(fd: int, data: bytes) -> int:
        writes.append(data)
        return write(fd, data)

    monkeypatch.setattr("kernel_manager.sessions.history.os.write", spy)
    append_all(history, started(1, "x" * 3_000_000), finished(1))
    assert [data.count(b"\n") for data in writes] == [1, 1]


def test_a_torn_last_line_is_passed_over_and_closed_by_the_next_append(history: History, path: Path) -> None:
    append_all(history, started(1), finished(1))
    with path.open("ab") as file:
        file.write(encode(started(2), NOON)[:-9])
    read = history.read()
    assert (len(read.cells), read.damaged_lines) == (1, 0)
    append_all(history, started(3), finished(3))
    read = history.read()
    assert [cell.cell_id for cell in read.cells] == ["000000000001", "000000000003"]
    assert read.damaged_lines == 1


def test_a_last_line_that_lacks_only_its_newline_counts_before_and_after_the_repair(history: History, path: Path) -> None:
    path.write_bytes(encode(started(1), NOON)[:-1])
    assert len(history.read().cells) == 1
    history.append(started(2))
    assert [cell.cell_id for cell in history.read().cells] == ["000000000001", "000000000002"]


def test_damaged_lines_in_the_middle_are_counted_and_cost_nothing_else(history: History, path: Path) -> None:
    append_all(history, started(1), finished(1))
    with path.open("ab") as file:
        file.write(b"\0\0\0\0\n\n   \n{broken\n\xff\xfe\n")
    append_all(history, started(2), finished(2))
    read = history.read()
    assert (len(read.cells), read.damaged_lines) == (2, 3)


LOG = b"".join(encode(record, NOON) for record in ONE_OF_EACH)
BOUNDARIES = [index + 1 for index, byte in enumerate(LOG) if byte == ord("\n")]


@given(st.integers(0, len(LOG)))
def test_a_log_cut_anywhere_keeps_all_whole_lines_and_goes_on(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(History(Path(folder, "h"), Clock())) as history:
        Path(folder, "h").write_bytes(LOG[:cut])
        history.read()
        history.append(Said("user", "Ann", "after the crash"))
        read = history.read()
        assert read.entries[-1] == Said("user", "Ann", "after the crash")
        whole = sum(boundary - 1 <= cut for boundary in BOUNDARIES)
        expected = sum(isinstance(record, CellStarted | Said | KernelEnded) for record in ONE_OF_EACH[:whole])
        assert len(read.entries) == expected + 1


@given(st.lists(st.binary(max_size=60).filter(lambda junk: not junk.isspace()), max_size=5), st.integers(0, len(BOUNDARIES)))
def test_junk_between_the_lines_costs_no_record(junk: list[bytes], place: int) -> None:
    place = ([0, *BOUNDARIES])[place]
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(History(Path(folder, "h"), Clock())) as history:
        Path(folder, "h").write_bytes(LOG[:place] + b"".join(line + b"\n" for line in junk) + LOG[place:])
        read = history.read()
        assert [type(entry) for entry in read.entries] == [Cell, Said, KernelEnded]
        assert read.cells[0].outputs[0]["data"] == {"text/plain": "new"}


def test_a_line_longer_than_the_limit_is_skipped_without_being_held(path: Path) -> None:
    good = encode(started(1), NOON)
    path.write_bytes(b"x" * 100_000 + b"\n" + good + b"y" * 1000 + b"\n" + b"z" * 500)
    with contextlib.closing(History(path, Clock(), max_line_bytes=500)) as history:
        read = history.read()
    assert (len(read.cells), read.damaged_lines) == (1, 3)


def test_reading_holds_no_more_than_the_limit_of_an_endless_line(path: Path) -> None:
    path.touch()
    os.truncate(path, 32 * 2**20)
    with contextlib.closing(History(path, Clock(), max_line_bytes=2**16)) as history:
        tracemalloc.start()
        read = history.read()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert read.damaged_lines == 1
    assert peak < 4 * 2**20


def test_a_record_too_large_for_a_line_keeps_all_but_its_bulk(path: Path) -> None:
    big: dict[str, Any] = {"output_type": "display_data", "data": {"image/png": "A" * 5000}, "metadata": {}}
    with contextlib.closing(History(path, Clock(), max_line_bytes=2000)) as history:
        append_all(history, started(1, "#" * 5000), finished(1, big, execution_count=4, display_ids={"d": [0]}))
        append_all(history, Said("user", "Ann", "\0" * 5000), DisplayUpdated("d", big["data"]))
        read = history.read()
    (cell,) = read.cells
    assert cell.code.startswith("####")
    assert "too much to keep" in cell.code
    assert cell.execution_count == 4
    assert [output["name"] for output in cell.outputs] == ["stderr"]
    assert "too much to keep" in cell.outputs[0]["text"]
    assert len(read.entries) == 2
    assert read.damaged_lines == 0


def test_a_record_that_cannot_be_made_to_fit_is_refused(path: Path) -> None:
    with (
        contextlib.closing(History(path, Clock(), max_line_bytes=500)) as history,
        pytest.raises(StorageError, match="cell smaller"),
    ):
        history.append(finished(1, cause="x" * 5000))


# Trouble with the disk.


def failing(code: int, after: int = 0) -> Callable[[int, bytes], int]:
    write = os.write

    def stub(fd: int, data: bytes) -> int:
        if after:
            return write(fd, data[:after])
        raise OSError(code, os.strerror(code))

    return stub


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "check the disk"),
        (errno.EROFS, "may not be read or written"),
        (errno.EFBIG, "cannot be read or written"),
    ],
)
def test_a_failed_write_is_one_line_that_says_what_to_do(history: History, path: Path, code: int, advice: str) -> None:
    history.append(started(1))
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kernel_manager.sessions.history.os.write", failing(code))
        with pytest.raises(StorageError, match=advice) as caught:
            history.append(finished(1))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("after", [1, 40])
def test_a_write_cut_short_leaves_nothing_behind(history: History, path: Path, after: int) -> None:
    history.append(started(1))
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kernel_manager.sessions.history.os.write", failing(0, after))
        with pytest.raises(StorageError, match="disk is full"):
            history.append(finished(1))
    assert path.read_bytes() == before
    history.append(finished(1))
    assert history.read().cells[0].status == "ok"


def test_a_record_that_could_not_be_synced_is_taken_back(history: History, path: Path) -> None:
    history.append(started(1), durable=True)
    before = path.read_bytes()

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kernel_manager.sessions.history.os.fdatasync", fail)
        with pytest.raises(StorageError, match="check the disk"):
            history.append(finished(1), durable=True)
    assert path.read_bytes() == before


def test_only_durable_records_are_synced(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("kernel_manager.sessions.history.os.fdatasync", synced.append)
    history.append(started(1))
    assert synced == []
    history.append(finished(1), durable=True)
    assert len(synced) == 1


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_file_that_may_not_grow_any_more_stays_whole(history: History, path: Path) -> None:
    history.append(started(1))
    before = path.read_bytes()
    child = run_python(
        """
        import resource, sys
        from datetime import UTC, datetime
        from pathlib import Path
        from kernel_manager.errors import StorageError
        from kernel_manager.sessions.history import History, Said

        path = Path(sys.argv[1])
        limit = path.stat().st_size + 50
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            History(path, lambda: datetime.now(UTC)).append(Said("user", "Ann", "x" * 1000))
        except StorageError as exc:
            print(exc)
        """,
        str(path),
    )
    out, err = child.communicate(timeout=30)
    assert ("free some space" in out, err) == (True, "")
    assert path.read_bytes() == before


def test_records_of_two_processes_never_mix(history: History, path: Path) -> None:
    code = """
        import sys
        from datetime import UTC, datetime
        from pathlib import Path
        from kernel_manager.sessions.history import History, Said

        history = History(Path(sys.argv[1]), lambda: datetime.now(UTC))
        for number in range(100):
            history.append(Said("user", sys.argv[2], sys.argv[2] * (number * 97)))
    """
    children = [run_python(code, str(path), name) for name in ("A", "B")]
    assert [child.communicate(timeout=30) for child in children] == [("", ""), ("", "")]
    read = history.read()
    assert read.damaged_lines == 0
    for name in ("A", "B"):
        texts = [entry.text for entry in read.entries if isinstance(entry, Said) and entry.name == name]
        assert texts == [name * (number * 97) for number in range(100)]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_only_a_regular_file_is_opened(history: History, path: Path, kind: str, tmp_path: Path) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        (tmp_path / "elsewhere").write_text("secret")
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=r"history\.jsonl"):
        history.read()
    with pytest.raises(StorageError, match=r"history\.jsonl"):
        history.append(started(1))


def test_a_missing_folder_is_a_storage_error_and_is_not_made(tmp_path: Path) -> None:
    with contextlib.closing(History(tmp_path / "gone" / "h", Clock())) as history:
        assert history.read().entries == []
        with pytest.raises(StorageError, match="DATA_DIR"):
            history.append(started(1))
    assert not (tmp_path / "gone").exists()


# Seeing what others wrote.


def test_own_appends_and_reads_are_no_change(history: History) -> None:
    assert not history.changed()
    history.append(started(1))
    assert not history.changed()
    history.read()
    history.append(finished(1))
    assert not history.changed()


def test_an_append_of_somebody_else_is_a_change_until_it_is_read(history: History, path: Path) -> None:
    history.append(started(1))
    with contextlib.closing(History(path, Clock())) as other:
        assert other.changed()
        other.append(finished(1))
        assert history.changed()
        history.append(started(2))
        assert history.changed(), "an own append must not hide it"
    history.read()
    assert not history.changed()


def test_a_file_that_was_replaced_or_removed_is_a_change_and_is_appended_to_afresh(history: History, path: Path) -> None:
    history.append(started(1))
    replacement = path.with_name("new")
    replacement.write_bytes(path.read_bytes())
    replacement.replace(path)
    assert history.changed()
    history.append(finished(1))
    assert history.read().cells[0].status == "ok"
    path.unlink()
    assert history.changed()
    history.append(started(2))
    assert [cell.cell_id for cell in history.read().cells] == ["000000000002"]


def test_after_closing_it_says_so(history: History) -> None:
    history.append(started(1))
    history.close()
    history.close()
    for use in (lambda: history.append(started(2)), history.read, history.changed):
        with pytest.raises(ClosedError, match="open the session again"):
            use()


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(ONE_OF_EACH), max_size=30))
def test_any_order_of_records_reads_without_damage(records: list[AnyRecord]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(History(Path(folder, "h"), Clock())) as history:
        append_all(history, *records)
        read = history.read()
        assert read.damaged_lines == 0
        assert read.cells == [entry for entry in read.entries if isinstance(entry, Cell)]
        assert sum(isinstance(record, Said) for record in records) == sum(isinstance(entry, Said) for entry in read.entries)


# Conversation, answers, imported cells.


def test_what_is_said_is_bounded_and_says_so(history: History) -> None:
    append_all(history, Said("user", "A" * 1000 + "\n", "x" * (MAX_SAID + 5)), Said("note", "a\nb", "short"))
    long, short = history.read().entries
    assert isinstance(long, Said)
    assert len(long.name) == MAX_NAME
    assert long.text == "x" * MAX_SAID + "\n[5 more characters were not kept]"
    assert short == Said("note", "a b", "short")


def test_answers_belong_to_their_cell_in_order(history: History) -> None:
    first, second = f"{1:012x}", f"{2:012x}"
    append_all(history, started(1), InputAnswered(first, "a? ", "1"), InputAnswered(first, "", "x" * (MAX_ANSWER + 1)))
    append_all(history, finished(1), started(2), InputAnswered(second, "b? ", "2"), InputAnswered("unknown", "?", "!"))
    cells = history.read().cells
    assert cells[0].answers == [Answer("a? ", "1"), Answer("", "x" * MAX_ANSWER)]
    assert cells[1].answers == [Answer("b? ", "2")]


def imported(number: int, code: str = "1") -> list[AnyRecord]:
    cell_id = f"{number:012x}"
    return [CellStarted(cell_id, code, "", "", source="import"), CellFinished(cell_id, "ok", number)]


def test_an_imported_cell_that_runs_takes_its_own_place(history: History) -> None:
    append_all(history, *imported(1), Said("note", "a.ipynb", "text"), *imported(2), started(1, "1"), finished(1, FIGURE))
    read = history.read()
    assert [getattr(entry, "source", "said") for entry in read.entries] == ["run", "said", "import"]
    assert read.cells[0].outputs == [FIGURE]
    assert read.last_kernel_id == "k1"


def test_an_imported_cell_that_runs_after_another_comes_after_it(history: History) -> None:
    append_all(history, *imported(1), *imported(2), started(3), finished(3), started(1, "1"), finished(1, FIGURE))
    append_all(history, started(2, "1"), finished(2))
    read = history.read()
    assert [(cell.cell_id[-1], cell.source) for cell in read.cells] == [("3", "run"), ("1", "run"), ("2", "run")]
    assert read.cells[1].outputs == [FIGURE]


def test_the_history_tells_the_environment_of_the_last_kernel(history: History) -> None:
    append_all(history, KernelStarted("k1", "g-1"), KernelStarted("k2", "g-2"))
    assert history.read().generation == "g-2"
