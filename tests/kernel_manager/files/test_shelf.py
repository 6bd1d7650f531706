from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_manager.errors import LimitError, StorageError, UsageError
from kernel_manager.files.names import MAX_NAME_BYTES, safe_filename
from kernel_manager.files.shelf import INDEX, Shelf, ShelfEntry

MB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files" / "user"


@pytest.fixture
def shelf(folder: Path) -> Shelf:
    return Shelf(folder, MB)


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != ".lock"}


# adding


def test_an_added_file_is_listed_with_its_bytes(shelf: Shelf, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_bytes(b"a,b\n1,2\n")

    entry = shelf.add(tmp_path / "sales.csv", "sales.csv")

    assert shelf.entries() == [entry]
    assert (entry.filename, entry.original_name, entry.size) == ("sales.csv", "sales.csv", 8)
    assert shelf.path_of(entry).read_bytes() == b"a,b\n1,2\n"
    assert shelf.path_of(entry).parent == folder


def test_the_index_has_the_documented_form(shelf: Shelf, folder: Path) -> None:
    entry = shelf.add(io.BytesIO(b"xyz"), "a.txt")

    index = json.loads((folder / INDEX).read_text())

    assert index["version"] == 1
    assert index["files"] == [
        {
            "file_id": entry.file_id,
            "filename": "a.txt",
            "original_name": "a.txt",
            "path": entry.path,
            "size": 3,
            "created_at": entry.created_at,
            "expires_at": None,
            "mime": "text/plain",
        }
    ]
    assert len(entry.file_id) >= 12
    assert int(entry.file_id, 16) >= 0
    assert entry.created_at.endswith("+00:00")


def test_a_shelf_without_files_has_no_entries(shelf: Shelf) -> None:
    assert shelf.entries() == []


def test_the_same_name_again_keeps_both_and_lists_the_newest_last(shelf: Shelf) -> None:
    old = shelf.add(io.BytesIO(b"old"), "a.txt")
    new = shelf.add(io.BytesIO(b"new"), "a.txt")

    assert old.file_id != new.file_id
    assert shelf.entries() == [old, new]
    assert shelf.path_of(old).read_bytes() == b"old"


def test_kernels_of_another_user_may_read_what_lies_there(shelf: Shelf, folder: Path) -> None:
    before = os.umask(0o077)
    try:
        entry = shelf.add(io.BytesIO(b"x"), "a.txt")
    finally:
        os.umask(before)

    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / INDEX, shelf.path_of(entry))]
    assert modes == [0o755, 0o644, 0o644]


def test_the_original_name_is_kept_beside_the_safe_one(shelf: Shelf) -> None:
    entry = shelf.add(io.BytesIO(b"x"), "../etc/pass\nwd")

    assert entry.original_name == "../etc/pass\nwd"
    assert "/" not in entry.path
    assert shelf.path_of(entry).read_bytes() == b"x"


def test_a_name_that_is_not_utf8_on_disk_can_be_listed(shelf: Shelf) -> None:
    entry = shelf.add(io.BytesIO(b"x"), os.fsdecode(b"m\xfcller.csv"))

    assert entry.filename == "mller.csv"
    assert entry.original_name == "m?ller.csv"
    assert shelf.entries() == [entry]


# limits and failures


def test_a_file_of_exactly_the_limit_is_taken(shelf: Shelf) -> None:
    assert shelf.add(io.BytesIO(bytes(MB)), "a.bin").size == MB


def test_a_file_beyond_the_limit_is_refused_while_it_comes(shelf: Shelf, folder: Path) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    stream = Endless()
    with pytest.raises(LimitError, match=r"a\.bin is larger than 1 MB; .*MAX_FILE_SIZE_MB"):
        shelf.add(cast("BinaryIO", stream), "a.bin")

    assert stream.given <= 3 * MB
    assert visible(folder) == set()
    assert shelf.entries() == []


def test_a_missing_source_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*missing\.csv; check the path"):
        shelf.add(tmp_path / "missing.csv", "missing.csv")


def test_a_folder_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; hand in the files in it"):
        shelf.add(tmp_path, "folder")


def test_a_fifo_is_refused_without_waiting_for_a_writer(shelf: Shelf, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="is not a regular file"):
        shelf.add(tmp_path / "pipe", "pipe")


def test_a_path_that_cannot_be_one_is_refused(shelf: Shelf) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        shelf.add("a\0b", "a.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        shelf.add("x" * 5000, "a.csv")


def test_an_unreadable_source_is_refused(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str, _flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", denied)

    with pytest.raises(UsageError, match=r"secret cannot be read \(Permission denied\); check the path and its permissions"):
        shelf.add("secret", "secret")


def test_a_source_that_fails_while_it_is_read_leaves_nothing(shelf: Shelf, folder: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(4)

    with pytest.raises(UsageError, match=r"a\.csv cannot be read \(Input/output error\)"):
        shelf.add(Failing(b"12345678"), "a.csv")
    assert visible(folder) == set()


def test_a_text_stream_is_refused(shelf: Shelf) -> None:
    with pytest.raises(UsageError, match="open it in binary mode"):
        shelf.add(cast("BinaryIO", io.StringIO("a,b")), "a.csv")


def test_a_full_disk_is_said_and_leaves_nothing(shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StorageError, match="is full; free some space"):
        shelf.add(io.BytesIO(b"x"), "a.csv")
    assert visible(folder) == set()


def test_a_file_that_cannot_be_enlisted_leaves_nothing(shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = shelf.add(io.BytesIO(b"kept"), "kept.csv")
    real_replace = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if target.name == INDEX:
            raise OSError(5, "Input/output error")
        return real_replace(path, target)

    monkeypatch.setattr(Path, "replace", replace)

    with pytest.raises(StorageError, match="check its owner and permissions"):
        shelf.add(io.BytesIO(b"x"), "a.csv")
    assert visible(folder) == {INDEX, kept.path}
    assert shelf.entries() == [kept]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="check its owner and permissions"):
        Shelf(tmp_path / "file" / "user", MB).add(io.BytesIO(b"x"), "a.csv")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "files": [{"file_id": "x"}]}'])
def test_a_damaged_index_is_said_and_not_overwritten(shelf: Shelf, folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / INDEX).write_text(content)

    with pytest.raises(StorageError, match="is damaged; restore it"):
        shelf.entries()
    with pytest.raises(StorageError, match="is damaged; restore it"):
        shelf.add(io.BytesIO(b"x"), "a.csv")
    assert (folder / INDEX).read_text() == content
    assert visible(folder) == {INDEX}


def test_an_index_of_another_version_is_left_alone(shelf: Shelf, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / INDEX).write_text('{"version": 2, "files": []}')

    with pytest.raises(StorageError, match="another version"):
        shelf.entries()


# at once


def test_threads_that_add_at_once_lose_no_file(folder: Path) -> None:
    def add(number: int) -> ShelfEntry:
        return Shelf(folder, MB).add(io.BytesIO(b"x" * number), f"{number}.bin")

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(add, range(24)))

    assert sorted(Shelf(folder, MB).entries(), key=lambda entry: entry.size) == added


ADDING = """
import io, sys
from pathlib import Path
from kernel_manager.files.shelf import Shelf
shelf = Shelf(Path(sys.argv[1]), 100)
for number in range(8):
    shelf.add(io.BytesIO(b"x"), f"{sys.argv[2]}-{number}")
"""


def test_processes_that_add_at_once_lose_no_file(folder: Path, shelf: Shelf) -> None:
    root = Path(__file__).parents[3]
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", ADDING, str(folder), name], env={**os.environ, "PYTHONPATH": str(root)}
        )
        for name in ("a", "b", "c")
    ]

    assert [process.wait() for process in processes] == [0, 0, 0]
    assert {entry.filename for entry in shelf.entries()} == {f"{name}-{number}" for name in "abc" for number in range(8)}


# names


@given(st.text())
def test_a_safe_name_is_a_name_that_a_file_can_have(name: str) -> None:
    safe = safe_filename(name)

    assert 0 < len(safe.encode()) <= MAX_NAME_BYTES
    assert not set(safe) & set('/\\:*?"<>|')
    assert safe[0] not in ".- "
    assert safe[-1] not in ". "
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in safe)
    assert unicodedata.is_normalized("NFC", safe)


@given(st.text(min_size=150) | st.text(alphabet="aé.- _\u0301\u202e/", max_size=400))
def test_a_safe_name_stays_as_it_is(name: str) -> None:
    safe = safe_filename(name)

    assert safe_filename(safe) == safe


@given(st.text(alphabet=st.characters(categories=["Ll", "Lo", "Nd"]), min_size=1, max_size=40))
def test_letters_of_every_script_are_kept(name: str) -> None:
    assert safe_filename(f"x{name}.csv") == unicodedata.normalize("NFC", f"x{name}.csv")


@given(st.text(alphabet="abé", min_size=250, max_size=300))
def test_a_shortened_name_keeps_its_extension(name: str) -> None:
    assert safe_filename(f"{name}.csv.gz").endswith(".csv.gz")


@settings(deadline=None, max_examples=30)  # each writes to the disk and waits for it
@given(name=st.text(max_size=60))
def test_any_name_can_be_added_and_is_found_again(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"), 100)

    entry = shelf.add(io.BytesIO(b"x"), name)

    assert shelf.entries() == [entry]
    assert shelf.path_of(entry).read_bytes() == b"x"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("", "file"),
        ("...", "file"),
        ("/", "_"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\data\\a.csv", "C__data_a.csv"),
        (".bashrc", "bashrc"),
        ("--help", "help"),
        ("a\0b\x1b[31mc.csv", "ab[31mc.csv"),
        ("a\tb\r\nc.csv", "a b c.csv"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("console.txt", "console.txt"),
        ("fdp.\u202ecsv.exe", "fdp.csv.exe"),
        ("e\u0301te\u0301.csv", "été.csv"),
        ("売上 2024.xlsx", "売上 2024.xlsx"),
        ("👩‍🔬 data.csv", "👩‍🔬 data.csv"),
        ("trailing. . ", "trailing"),
    ],
)
def test_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_filename(name) == safe
