"""The append-only log of a session: one JSON record a line, from which everything else is derived.

Each record is written by one ``write`` on a descriptor that only appends, so a crash can cost no more than
the line that was being written. Such a torn line is passed over when reading and closed by the next append.
Whoever appends holds the session's lock.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from kernel_manager.errors import ClosedError, StorageError
from kernel_manager.execution.result import ExecutionResult, Output, Status, WrittenFile

VERSION = 1
#: The longest line that is written or read, in bytes.
MAX_LINE_BYTES = 256 * 2**20
#: The longest text of one :class:`Said`, and the longest name, in characters; what is longer is cut, with a note.
MAX_SAID = 200_000
MAX_NAME = 200
#: The longest prompt and the longest answer of one :class:`InputAnswered`, in characters.
MAX_ANSWER = 10_000

#: ``run``: by this service, for a person. ``model``: for a model. ``attach``: by another Jupyter client.
#: ``import``: taken over from a notebook, not run here.
Source = Literal["run", "model", "attach", "import"]
#: ``note`` is text that nobody said in this conversation: the Markdown of an imported notebook, for example.
Role = Literal["user", "assistant", "note"]


@dataclass(frozen=True, slots=True)
class Record:
    """What all records have: ``at``, when it was appended (UTC). It is set on reading and takes no part in equality."""

    at: datetime | None = field(default=None, kw_only=True, compare=False)


@dataclass(frozen=True, slots=True)
class SessionCreated(Record):
    """The session began."""

    session_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class KernelStarted(Record):
    """A kernel came up for the session, from the environment's ``generation``."""

    kernel_id: str
    generation: str


@dataclass(frozen=True, slots=True)
class KernelEnded(Record):
    """The session's kernel is gone; ``state_lost`` when the variables went with it."""

    kernel_id: str
    cause: str | None = None
    state_lost: bool = True


@dataclass(frozen=True, slots=True)
class CellStarted(Record):
    """A cell went to the kernel. ``cell_id`` is 12 hexadecimal digits, ``source`` says from where it came."""

    cell_id: str
    code: str
    msg_id: str
    kernel_id: str
    source: Source = "run"


@dataclass(frozen=True, slots=True)
class CellFinished(Record):
    """What a cell came to. ``display_ids`` says which of its outputs (by index) show a display."""

    cell_id: str
    status: Status
    execution_count: int | None = None
    outputs: list[Output] = field(default_factory=list)
    display_ids: dict[str, list[int]] = field(default_factory=dict)
    files: list[WrittenFile] = field(default_factory=list)
    installed_packages: list[str] = field(default_factory=list)
    duration_s: float = 0.0
    cause: str | None = None
    state_lost: bool = False

    @classmethod
    def of(cls, cell_id: str, result: ExecutionResult, display_ids: Mapping[str, list[int]]) -> CellFinished:
        """Make the record of a result."""
        values = {item.name: getattr(result, item.name) for item in fields(result)}
        return cls(cell_id=cell_id, display_ids=dict(display_ids), **values)


@dataclass(frozen=True, slots=True)
class InputAnswered(Record):
    """An answer that the code of a running cell got from ``input()``. Those to ``getpass()`` are never recorded."""

    cell_id: str
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class DisplayUpdated(Record):
    """A display of cells that had finished before this record was updated."""

    display_id: str
    data: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said(Record):
    """Something that was said: by a person, by the assistant, or in an imported notebook.

    ``name`` is the display name of who said it (for a note: where it comes from), ``text`` is Markdown as it was.
    ``imported`` is what somebody else's history or notebook says was said: nobody here vouches for it.
    """

    role: Role
    name: str
    text: str
    imported: bool = False


AnyRecord = SessionCreated | KernelStarted | KernelEnded | CellStarted | CellFinished | InputAnswered | DisplayUpdated | Said

_KINDS: dict[str, type[AnyRecord]] = {
    "session_created": SessionCreated,
    "kernel_started": KernelStarted,
    "kernel_ended": KernelEnded,
    "cell_started": CellStarted,
    "cell_finished": CellFinished,
    "input_answered": InputAnswered,
    "display_updated": DisplayUpdated,
    "said": Said,
}
_KIND_NAMES = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """What ``input(prompt)`` returned."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what was run and, once it is over, what came of it.

    ``status`` and ``finished_at`` are None until the cell is over. Displays that later cells updated are in
    ``outputs`` as they became. ``answers`` are those to ``input()``, in order. If the line of the cell's start is
    damaged, ``code`` is empty. A cell whose ``source`` is ``import`` did not run here: it is as its notebook had it.
    """

    cell_id: str
    code: str
    msg_id: str
    kernel_id: str
    source: Source
    started_at: datetime
    finished_at: datetime | None = None
    status: Status | None = None
    execution_count: int | None = None
    outputs: list[Output] = field(default_factory=list)
    display_ids: dict[str, list[int]] = field(default_factory=dict)
    files: list[WrittenFile] = field(default_factory=list)
    installed_packages: list[str] = field(default_factory=list)
    duration_s: float = 0.0
    cause: str | None = None
    state_lost: bool = False
    answers: list[Answer] = field(default_factory=list)


Entry = Cell | Said | KernelEnded


@dataclass(frozen=True, slots=True)
class SessionHistory:
    """What a log says, in order. ``session_id`` and ``user_id`` are empty if the log does not say.

    ``unfinished`` is the last cell if it is not known to be over. ``damaged_lines`` counts lines that could
    not be read; a last line that is still without its end is not among them. ``generation`` is that of the
    environment of the last kernel.
    """

    session_id: str = ""
    user_id: str = ""
    created_at: datetime | None = None
    entries: list[Entry] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    unfinished: Cell | None = None
    damaged_lines: int = 0
    last_kernel_id: str | None = None
    generation: str | None = None


class History:
    """The log in one file. One caller at a time; a file that is not there reads as an empty history.

    The file is open only while it is used: a service has many sessions.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime], *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        """Name the file and the clock that dates the records. Nothing is opened yet."""
        self._path = path
        self._clock = clock
        self._max_line_bytes = max_line_bytes
        self._unsynced = False
        self._seen: _Extent | None = None
        self._missed = False
        self._closed = False

    def append(self, record: AnyRecord, durable: bool = False) -> None:
        """Add a record; with ``durable`` it is on the disk itself when this returns.

        Outputs or texts too large for a line are replaced by a note. Raises :class:`StorageError` if the
        record could not be written; the log is then as it was.
        """
        self._check_open()
        line = self._line(record)
        with _storage_errors(self._path), _opened(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as fd:
            before = os.fstat(fd)
            self._missed = self._missed or _extent(before) != self._seen
            written = _append_line(fd, line, before.st_size, durable)
            if durable and before.st_size == 0:
                _sync_folder(self._path.parent)
            self._seen = (before.st_dev, before.st_ino, before.st_size + written)
        self._unsynced = not durable

    def read(self) -> SessionHistory:
        """Read the whole log. Damaged lines are counted, records and fields of a later version passed over."""
        self._check_open()
        fold = _Fold()
        with _storage_errors(self._path):
            try:
                fd = _open_regular(self._path, os.O_RDONLY)
            except FileNotFoundError:
                self._seen, self._missed = None, False
                return fold.history()
            with os.fdopen(fd, "rb", buffering=2**20) as stream:
                for line in _bounded_lines(stream, self._max_line_bytes):
                    fold.add_line(line)
                found = os.fstat(fd)
                self._seen = _extent(found, stream.tell())
        self._missed = False
        return fold.history()

    def changed(self) -> bool:
        """Return whether the file holds something that this object has neither read nor written."""
        self._check_open()
        with _storage_errors(self._path):
            try:
                found = _extent(self._path.stat())
            except FileNotFoundError:
                found = None
        return self._missed or found != self._seen

    def sync(self) -> None:
        """Force what was appended to disk; nothing happens when nothing was. May be called from another thread."""
        if self._unsynced:
            self._unsynced = False
            with suppress(OSError, StorageError), _opened(self._path, os.O_RDONLY) as fd:
                _sync(fd)

    def close(self) -> None:
        """Use it no more. Closing twice does nothing."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"The history {self._path} is closed; open the session again.")

    def _line(self, record: AnyRecord) -> bytes:
        at = self._clock()
        record = _bounded(record)
        line = encode(record, at)
        if len(line) > self._max_line_bytes:
            line = encode(_shortened(record, len(line), self._max_line_bytes), at)
        if len(line) > self._max_line_bytes:
            raise StorageError(f"A record of {len(line)} bytes does not fit into a line of {self._path}; make the cell smaller.")
        return line


def records_of(entry: Entry) -> list[AnyRecord]:
    """The records that take an entry over into another history: a cell as an imported one, which did not run there."""
    if isinstance(entry, Said):
        return [replace(entry, imported=True)]
    if not isinstance(entry, Cell):
        return [entry]
    records: list[AnyRecord] = [CellStarted(entry.cell_id, entry.code, "", "", source="import")]
    records += [InputAnswered(entry.cell_id, answer.prompt, answer.answer) for answer in entry.answers]
    if entry.status is not None:
        names = [item.name for item in fields(CellFinished) if item.name not in ("at", "display_ids", "files")]
        records.append(CellFinished(**{name: getattr(entry, name) for name in names}))
    return records


def read_log(path: Path) -> SessionHistory:
    """Read the log in a file that somebody else may be writing; as :meth:`History.read`."""
    return History(path, lambda: datetime.now(UTC)).read()


def timestamp(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC with milliseconds: ``2026-01-31T09:30:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(record: AnyRecord, at: datetime) -> bytes:
    """Return the line of a record: UTF-8 JSON and a newline."""
    body: dict[str, Any] = {"type": _KIND_NAMES[type(record)], "v": VERSION, "at": timestamp(at)}
    body |= {item.name: getattr(record, item.name) for item in fields(record) if item.name != "at"}
    if isinstance(record, CellFinished):
        body["files"] = [asdict(file) for file in record.files]
    try:
        return _dump(body)
    except (ValueError, TypeError, RecursionError):
        return _dump(plain_json(body))


def decode(line: bytes) -> AnyRecord | None:
    """Return the record of a line, or None for one of a kind that this version does not know.

    Raises ValueError if the line is no record.
    """
    try:
        body = json.loads(line.decode())
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    if not isinstance(body, dict) or not isinstance(body.get("type"), str) or "at" not in body:
        raise ValueError("not a record")
    kind = _KINDS.get(body["type"])
    if kind is None or _version(body.get("v")) > VERSION:
        return None
    known = [item.name for item in fields(kind) if item.name in body]
    try:
        return kind(**{name: _READERS[name](body[name]) for name in known})
    except TypeError as exc:
        raise ValueError("a field is missing") from exc


_MAX_DEPTH = 100
# 617 digits: Python's own limit on reading and writing integers can be set as low as 640.
_MAX_INTEGER_BITS = 2048
_SURROGATES = re.compile("[\ud800-\udfff]")


def plain_json(value: Any, depth: int = 0) -> Any:
    """Return a copy of the value that is valid JSON and UTF-8 for every reader.

    Lone surrogates become U+FFFD, NaN and infinities null, integers of more than 600 digits hexadecimal text;
    what JSON does not have becomes text, and what is nested more than 100 deep a note.
    """
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATES.sub("\ufffd", value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MAX_INTEGER_BITS else hex(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth >= _MAX_DEPTH:
        return "[nested too deeply]"
    if isinstance(value, Mapping):
        return {str(plain_json(key)): plain_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item, depth + 1) for item in value]
    return plain_json(str(value))


def _dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _bounded(record: AnyRecord) -> AnyRecord:
    """The record with texts of people no longer than they may be."""
    match record:
        case Said():
            name = " ".join(record.name[: 2 * MAX_NAME].split())[:MAX_NAME]
            left_out = len(record.text) - MAX_SAID
            text = record.text if left_out <= 0 else f"{record.text[:MAX_SAID]}\n[{left_out:,} more characters were not kept]"
            return replace(record, name=name, text=text)
        case InputAnswered():
            return replace(record, prompt=record.prompt[:MAX_ANSWER], answer=record.answer[:MAX_ANSWER])
        case _:
            return record


def _shortened(record: AnyRecord, size: int, limit: int) -> AnyRecord:
    """The record without what makes it too large for a line of ``limit`` bytes."""
    note = f"[{size / 2**20:.1f} MB: too much to keep in the history of the session]"
    # A character takes up to six bytes in JSON, and the record has other fields.
    room = limit // 12
    match record:
        case CellFinished():
            return replace(record, outputs=[{"output_type": "stream", "name": "stderr", "text": f"{note}\n"}], display_ids={})
        case DisplayUpdated():
            return replace(record, data={"text/plain": note}, metadata={})
        case CellStarted():
            return replace(record, code=f"{record.code[:room]}\n# {note}")
        case Said():
            return replace(record, text=f"{record.text[:room]}\n{note}")
        case _:
            return record


# Reading a field: each returns the value as the record wants it, or raises ValueError.


def _a(*types: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        # JSON's true and false are integers to Python.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError("a field is of the wrong kind")
        return value

    return read


def _one_of(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError("a field has a value that it cannot have")
        return str(value)

    return read


def _list_of(read_item: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read(value: Any) -> list[Any]:
        return [read_item(item) for item in _list(value)]

    return read


_text = _a(str)
_text_or_none = _a(str, type(None))
_flag = _a(bool)
_integer = _a(int)
_list = _a(list)
_mapping = _a(dict)


def _version(value: Any) -> int:
    return int(_integer(value))


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("a time out of range") from exc


def _seconds(value: Any) -> float:
    number = _a(int, float, type(None))(value)
    try:
        return float(number) if number is not None and math.isfinite(number) else 0.0
    except OverflowError:
        return 0.0


def _places(value: Any) -> dict[str, list[int]]:
    return {display_id: _list_of(_integer)(places) for display_id, places in _mapping(value).items()}


def _file(value: Any) -> WrittenFile:
    values = _mapping(value)
    try:
        return WrittenFile(
            filename=_text(values["filename"]),
            path=_text(values["path"]),
            size=_integer(values["size"]),
            mime=_text(values["mime"]),
        )
    except KeyError as exc:
        raise ValueError("a file lacks a field") from exc


_READERS: dict[str, Callable[[Any], Any]] = {
    "at": _moment,
    "session_id": _text,
    "user_id": _text,
    "kernel_id": _text,
    "generation": _text,
    "cause": _text_or_none,
    "state_lost": _flag,
    "cell_id": _text,
    "code": _text,
    "msg_id": _text,
    "source": _one_of(*get_args(Source)),
    "status": _one_of(*get_args(Status)),
    "execution_count": _a(int, type(None)),
    "outputs": _list_of(_mapping),
    "display_ids": _places,
    "files": _list_of(_file),
    "installed_packages": _list_of(_text),
    "duration_s": _seconds,
    "display_id": _text,
    "data": _mapping,
    "metadata": _mapping,
    "role": _one_of(*get_args(Role)),
    "name": _text,
    "text": _text,
    "imported": _flag,
    "prompt": _text,
    "answer": _text,
}


class _Fold:
    """Records, one after the other, become a history."""

    def __init__(self) -> None:
        self._created: SessionCreated | None = None
        self._entries: list[Entry] = []
        self._cell_places: dict[str, int] = {}
        self._displays: dict[str, list[Output]] = {}
        self._kernel_id: str | None = None
        self._generation: str | None = None
        self._damaged_lines = 0

    def add_line(self, line: bytes | None) -> None:
        """Take in a line as it is in the file; None is one that was too long."""
        if line is None:
            self._damaged_lines += 1
        elif not line.isspace():
            try:
                record = decode(line)
            except ValueError:
                # Without its end the line is not damaged but still being written, or cut short by a crash.
                self._damaged_lines += line.endswith(b"\n")
            else:
                self._add(record)

    def history(self) -> SessionHistory:
        """Return what the records so far come to."""
        created = self._created or SessionCreated(session_id="", user_id="")
        cells = [entry for entry in self._entries if isinstance(entry, Cell)]
        return SessionHistory(
            session_id=created.session_id,
            user_id=created.user_id,
            created_at=created.at,
            entries=self._entries,
            cells=cells,
            unfinished=cells[-1] if cells and cells[-1].finished_at is None else None,
            damaged_lines=self._damaged_lines,
            last_kernel_id=self._kernel_id,
            generation=self._generation,
        )

    def _add(self, record: AnyRecord | None) -> None:
        match record:
            case SessionCreated():
                self._created = self._created or record
            case KernelStarted():
                self._kernel_id, self._generation = record.kernel_id, record.generation
            case CellStarted():
                self._start(record)
            case CellFinished():
                self._finish(record)
            case InputAnswered():
                self._answer(record)
            case DisplayUpdated():
                self._update_displays(record)
            case Said() | KernelEnded():
                self._entries.append(record)

    def _start(self, record: CellStarted) -> None:
        if record.source != "import":
            self._kernel_id = record.kernel_id
        started = {item.name: getattr(record, item.name) for item in fields(record) if item.name != "at"}
        place = self._cell_places.get(record.cell_id)
        earlier = None if place is None else self._entries[place]
        if place is not None and isinstance(earlier, Cell) and earlier.source != "import" and earlier.finished_at is None:
            self._entries[place] = replace(earlier, **started)  # it was run again, as nothing of it had taken effect
            return
        self._put(Cell(started_at=_date(record), **started))

    def _put(self, cell: Cell) -> None:
        """Add a cell; an imported one that runs now takes its own place, unless something ran after it already."""
        place = self._cell_places.get(cell.cell_id)
        imported = None if place is None else self._entries[place]
        if place is not None and isinstance(imported, Cell) and imported.source == "import":
            if not any(isinstance(entry, Cell) and entry.source != "import" for entry in self._entries[place:]):
                self._entries[place] = cell
                return
            del self._entries[place]
            self._cell_places = {entry.cell_id: at for at, entry in enumerate(self._entries) if isinstance(entry, Cell)}
        self._cell_places[cell.cell_id] = len(self._entries)
        self._entries.append(cell)

    def _finish(self, record: CellFinished) -> None:
        if record.cell_id not in self._cell_places:
            self._start(CellStarted(record.cell_id, "", "", self._kernel_id or "", at=record.at))
        place = self._cell_places[record.cell_id]
        cell = self._entries[place]
        assert isinstance(cell, Cell)
        result = {item.name: getattr(record, item.name) for item in fields(record) if item.name != "at"}
        self._entries[place] = replace(cell, finished_at=_date(record), **result)
        self._register_displays(record)

    def _answer(self, record: InputAnswered) -> None:
        place = self._cell_places.get(record.cell_id)
        cell = None if place is None else self._entries[place]
        if isinstance(cell, Cell):
            cell.answers.append(Answer(record.prompt, record.answer))

    def _register_displays(self, record: CellFinished) -> None:
        for display_id, places in record.display_ids.items():
            shown = [record.outputs[place] for place in places if 0 <= place < len(record.outputs)]
            self._displays.setdefault(display_id, []).extend(output for output in shown if "data" in output)

    def _update_displays(self, record: DisplayUpdated) -> None:
        for output in self._displays.get(record.display_id, ()):
            output["data"] = dict(record.data)
            output["metadata"] = dict(record.metadata)


def _date(record: Record) -> datetime:
    assert record.at is not None
    return record.at


# The file.

#: Device, inode and size: enough to see that a log which only grows has grown, or is another one.
_Extent = tuple[int, int, int]


def _extent(found: os.stat_result, size: int | None = None) -> _Extent | None:
    """What is there, or None for nothing: an empty file is as good as none."""
    size = found.st_size if size is None else size
    return (found.st_dev, found.st_ino, size) if size else None


def _open_regular(path: Path, flags: int) -> int:
    """Open a file that is no link, pipe or device; a new one is for its owner only."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)  # no platform has them all
    fd = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise StorageError(f"{path} is not a regular file; move it away and try again.")
    return fd


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = _open_regular(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def _append_line(fd: int, line: bytes, size: int, durable: bool) -> int:
    """Write the line whole, or leave the file as it was. Return the number of bytes that it grew."""
    if not _ends_line(fd, size):
        line = b"\n" + line
    try:
        if os.write(fd, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            _sync(fd)
    except OSError:
        _take_back(fd, size, len(line))
        raise
    return len(line)


def _ends_line(fd: int, size: int) -> bool:
    if size == 0:
        return True
    os.lseek(fd, size - 1, os.SEEK_SET)
    return os.read(fd, 1) == b"\n"


def _take_back(fd: int, size: int, length: int) -> None:
    with suppress(OSError):
        # Longer than that, and somebody else's line came after ours.
        if size < os.fstat(fd).st_size <= size + length:
            os.ftruncate(fd, size)


def _sync(fd: int) -> None:
    getattr(os, "fdatasync", os.fsync)(fd)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable, where folders can be opened."""
    with suppress(PermissionError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _bounded_lines(stream: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """The lines with their ends; None in place of one of more than ``limit`` bytes."""
    while line := stream.readline(limit):
        if line.endswith(b"\n") or len(line) < limit:
            yield line
            continue
        while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
            pass
        yield None


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(_advice(path, exc)) from exc


def _advice(path: Path, exc: OSError) -> str:
    match exc.errno:
        case errno.ENOSPC:
            return f"The disk is full: {path} cannot grow; free some space on it and run the cell again."
        case errno.EDQUOT:
            return f"The disk quota is used up: {path} cannot grow; free some space or raise the quota, then run the cell again."
        case errno.EIO:
            return f"The disk reports errors at {path}; check the disk, then run the cell again."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{path} may not be read or written ({exc.strerror}); give the service's user that right."
        case errno.ELOOP:
            return f"{path} is a link; put the file itself there."
        case _:
            return f"{path} cannot be read or written: {exc.strerror or exc}; check DATA_DIR."
