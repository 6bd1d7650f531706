from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernel_manager.execution.artifacts import (
    ArtifactLimits,
    ArtifactScan,
    Snapshot,
    changed,
    shown_name,
    snapshot,
)
from kernel_manager.files.mime import mime_type

LIMITS = ArtifactLimits(max_files=50, max_file_bytes=1_000_000)


def names(scan: ArtifactScan) -> list[str]:
    return [file.filename for file in scan.files]


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_new_file_is_reported_with_its_facts(tmp_path: Path) -> None:
    before = snapshot(tmp_path, LIMITS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "table.csv").write_text("a,b\n")
    scan = changed(before, tmp_path)
    assert scan.skipped == []
    [file] = scan.files
    assert (file.filename, file.path, file.size, file.mime) == (
        "out/table.csv",
        str(tmp_path / "out" / "table.csv"),
        4,
        "text/csv",
    )


def test_nothing_is_reported_when_nothing_was_written(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("x")
    before = snapshot(tmp_path, LIMITS)
    (tmp_path / "old.txt").read_text()
    assert changed(before, tmp_path) == ArtifactScan([], [])


def test_a_changed_file_is_reported_even_with_its_old_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(b"one")
    old = file.stat()
    os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    before = snapshot(tmp_path, LIMITS)
    stamp = file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == stamp:  # the clock of file times may be coarse
        file.write_bytes(b"two")
        os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert file.stat().st_mtime_ns == old.st_mtime_ns
    assert names(changed(before, tmp_path)) == ["data.bin"]


def test_a_file_replaced_by_another_of_the_same_size_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    before = snapshot(tmp_path, LIMITS)
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").replace(tmp_path / "a.txt")
    assert names(changed(before, tmp_path)) == ["a.txt"]


def test_a_deleted_file_is_not_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    before = snapshot(tmp_path, LIMITS)
    (tmp_path / "a.txt").unlink()
    assert changed(before, tmp_path) == ArtifactScan([], [])


def test_files_come_by_name(tmp_path: Path) -> None:
    before = snapshot(tmp_path, LIMITS)
    for name in ("c.txt", "a.txt", "b/z.txt", "b/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert names(changed(before, tmp_path)) == ["a.txt", "b/a.txt", "b/z.txt", "c.txt"]


def test_hidden_names_and_caches_are_no_artifacts(tmp_path: Path) -> None:
    before = snapshot(tmp_path, LIMITS)
    for name in (".hidden", ".cache/x", "__pycache__/m.pyc", "pkg/__pycache__/m.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert changed(before, tmp_path) == ArtifactScan([], [])


def test_links_are_never_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    folder.mkdir()
    before = snapshot(folder, LIMITS)
    (outside / "secret.txt").write_text("secret")
    (folder / "file.txt").symlink_to(outside / "secret.txt")
    (folder / "folder").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    scan = changed(before, folder)
    assert scan.files == []
    assert scan.skipped == ["file.txt: no regular file", "folder: no regular file", "loop: no regular file"]


def test_a_working_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    folder.mkdir()
    before = snapshot(folder, LIMITS)
    (outside / "secret.txt").write_text("secret")
    folder.rmdir()
    folder.symlink_to(outside)
    assert changed(before, folder) == ArtifactScan([], ["entries that could not be read: 1"])


def test_pipes_and_sockets_neither_block_nor_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(tmp_path, LIMITS)
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        assert changed(before, tmp_path) == ArtifactScan([], ["pipe: no regular file", "sock: no regular file"])


def test_a_hard_link_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    folder = tmp_path / "work"
    folder.mkdir()
    before = snapshot(folder, LIMITS)
    (folder / "mine.txt").hardlink_to(tmp_path / "theirs")
    scan = changed(before, folder)
    assert scan.files == []
    assert scan.skipped == ["mine.txt: a hard link, whose other name may be anybody's"]


def test_a_file_over_the_limit_is_left_out_and_said(tmp_path: Path) -> None:
    before = snapshot(tmp_path, ArtifactLimits(max_files=5, max_file_bytes=10))
    (tmp_path / "fits.bin").write_bytes(b"x" * 10)
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(10**12)
    scan = changed(before, tmp_path)
    assert names(scan) == ["fits.bin"]
    assert scan.skipped == ["huge.bin: 1,000,000,000,000 bytes, more than the 10 that a file may have"]


def test_files_past_the_number_are_counted(tmp_path: Path) -> None:
    before = snapshot(tmp_path, ArtifactLimits(max_files=2, max_file_bytes=10))
    for name in "abcde":
        (tmp_path / name).write_text("x")
    scan = changed(before, tmp_path)
    assert names(scan) == ["a", "b"]
    assert scan.skipped == ["files past the 2 that are listed: 3"]


def test_notes_are_bounded(tmp_path: Path) -> None:
    before = snapshot(tmp_path, LIMITS)
    for number in range(100):
        (tmp_path / f"{number:03}{'x' * 240}").symlink_to("nowhere")
    scan = changed(before, tmp_path)
    assert scan.skipped[-1] == "more entries that were left out: 80"
    assert len(scan.skipped) == 21
    assert all(len(note) < 300 for note in scan.skipped)


def test_entries_past_the_bound_are_not_looked_at_and_said(tmp_path: Path) -> None:
    limits = ArtifactLimits(max_files=50, max_file_bytes=10, max_entries=10)
    before = snapshot(tmp_path, limits)
    for number in range(30):
        (tmp_path / str(number)).write_text("x")
    scan = changed(before, tmp_path)
    assert len(scan.files) == 10
    assert scan.skipped == ["more than 10 entries in the folder; the others were not looked at"]


def test_a_full_subfolder_does_not_hide_the_files_beside_it(tmp_path: Path) -> None:
    limits = ArtifactLimits(max_files=50, max_file_bytes=10, max_entries=10)
    before = snapshot(tmp_path, limits)
    (tmp_path / "a").mkdir()
    for number in range(30):
        (tmp_path / "a" / str(number)).write_text("x")
    (tmp_path / "z.txt").write_text("x")
    assert names(changed(before, tmp_path))[-1] == "z.txt"


def test_a_file_unseen_before_counts_only_if_it_changed_since(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    hour = 3_600 * 10**9
    unseen_old = Snapshot(frozenset(), complete=False, taken_ns=time.time_ns() + hour, limits=LIMITS)
    unseen_new = Snapshot(frozenset(), complete=False, taken_ns=time.time_ns() - hour, limits=LIMITS)
    assert names(changed(unseen_old, tmp_path)) == []
    assert names(changed(unseen_new, tmp_path)) == ["a.txt"]


def test_a_snapshot_knows_when_it_did_not_see_everything(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b.txt").write_text("x")
    assert snapshot(tmp_path, LIMITS).complete
    assert snapshot(tmp_path / "missing", LIMITS).complete
    assert not snapshot(tmp_path, ArtifactLimits(1, 1, max_entries=1)).complete
    assert not snapshot(tmp_path, ArtifactLimits(1, 1, max_depth=1)).complete


@pytest.fixture
def make_deep(tmp_path: Path) -> Iterator[Callable[[str, int], int]]:
    """Make folders of one name in each other and return a descriptor of the innermost."""
    made: list[int] = []

    def make(name: str, levels: int) -> int:
        made.append(os.open(tmp_path, os.O_RDONLY))
        for _ in range(levels):
            os.mkdir(name, dir_fd=made[-1])
            made.append(os.open(name, os.O_RDONLY, dir_fd=made[-1]))
            os.close(made.pop(0))
        return made[0]

    yield make
    os.close(made[0])
    # Deeper than the recursion with which pytest would remove it.
    subprocess.run(["rm", "-rf", *map(str, tmp_path.iterdir())], check=True)


def test_a_thousand_folders_deep_is_bounded(tmp_path: Path, make_deep: Callable[[str, int], int]) -> None:
    before = snapshot(tmp_path, LIMITS)
    make_deep("d" * 100, 1_000)
    (tmp_path / "e.txt").write_text("x")
    used = open_descriptors()
    scan = changed(before, tmp_path)
    assert names(scan) == ["e.txt"]
    assert scan.skipped == ["folders not looked into, because they lie 32 deep: 1"]
    assert open_descriptors() == used


def test_a_path_too_long_for_the_system_is_left_out_and_said(tmp_path: Path, make_deep: Callable[[str, int], int]) -> None:
    before = snapshot(tmp_path, LIMITS)
    os.close(os.open("far.txt", os.O_CREAT | os.O_WRONLY, dir_fd=make_deep("d" * 250, 20)))
    scan = changed(before, tmp_path)
    assert scan.files == []
    [note] = scan.skipped
    assert note.endswith("far.txt: its path is too long")
    assert len(note) < 300


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"two\nlines.txt", "two\\nlines.txt"),
        (b"esc\x1b[2J.txt", "esc\\x1b[2J.txt"),
        (b"not-utf8-\xff.txt", "not-utf8-\\xff.txt"),
        ("exe\u202etxt.png".encode(), "exe\\u202etxt.png"),
        ("grüße 数据.txt".encode(), "grüße 数据.txt"),
        (b" spaced .txt", " spaced .txt"),
    ],
)
def test_a_strange_name_is_shown_safely_and_its_path_is_right(tmp_path: Path, raw: bytes, shown: str) -> None:
    before = snapshot(tmp_path, LIMITS)
    with open(os.path.join(os.fsencode(tmp_path), raw), "wb") as file:  # noqa: PTH118, PTH123 - a name in bytes
        file.write(b"hello")
    [written] = changed(before, tmp_path).files
    assert written.filename == shown
    assert Path(written.path).read_bytes() == b"hello"


def test_a_relative_folder_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = snapshot(Path(), LIMITS)
    (tmp_path / "a.txt").write_text("x")
    assert [file.path for file in changed(before, Path()).files] == [str(tmp_path / "a.txt")]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    before = snapshot(tmp_path / "work", LIMITS)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text("x")
    assert names(changed(before, tmp_path / "work")) == ["a.txt"]
    shutil.rmtree(tmp_path / "work")
    assert changed(before, tmp_path / "work") == ArtifactScan([], ["the working folder is gone"])


def test_an_unreadable_folder_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(tmp_path, LIMITS)
    (tmp_path / "closed").mkdir()
    (tmp_path / "open.txt").write_text("x")
    really_open = os.open

    def open_unless_closed(path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
        if path == "closed":
            raise PermissionError(path)
        return really_open(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", open_unless_closed)
    scan = changed(before, tmp_path)
    assert names(scan) == ["open.txt"]
    assert scan.skipped == ["entries that could not be read: 1"]


def test_a_file_that_vanishes_during_the_scan_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(tmp_path, LIMITS)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("x")
    scandir = os.scandir

    def scandir_then_unlink(descriptor: int) -> object:
        with scandir(descriptor) as entries:
            listed = list(entries)
        (tmp_path / "a.txt").unlink()
        return _Listed(listed)

    monkeypatch.setattr(os, "scandir", scandir_then_unlink)
    assert names(changed(before, tmp_path)) == ["b.txt"]


def test_a_folder_swapped_for_a_link_during_the_scan_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder / "sub").mkdir(parents=True)
    before = snapshot(folder, LIMITS)
    scandir = os.scandir

    def scandir_then_swap(descriptor: int) -> object:
        with scandir(descriptor) as entries:
            listed = list(entries)
        (folder / "sub").rmdir()
        (folder / "sub").symlink_to(outside)
        return _Listed(listed)

    monkeypatch.setattr(os, "scandir", scandir_then_swap)
    assert changed(before, folder) == ArtifactScan([], ["entries that could not be read: 1"])


class _Listed(list["os.DirEntry[str]"]):
    def __enter__(self) -> _Listed:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def test_descriptors_are_closed(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number) / "x").mkdir(parents=True)
    used = open_descriptors()
    changed(snapshot(tmp_path, LIMITS), tmp_path)
    assert open_descriptors() == used


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("a.csv", "text/csv"),
        ("a.PNG", "image/png"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.ipynb", "application/x-ipynb+json"),
        ("a.md", "text/markdown"),
        ("a.csv.gz", "application/gzip"),
        ("data:text/html,x", "application/octet-stream"),
        ("http:[x", "application/octet-stream"),
        ("noext", "application/octet-stream"),
        ("\udcff", "application/octet-stream"),
    ],
)
def test_the_mime_type_comes_from_the_end_of_the_name(name: str, mime: str) -> None:
    assert mime_type(name) == mime


def test_a_shown_name_is_always_printable() -> None:
    for code in range(0, 0x11_0000, 7):
        assert shown_name(f"a{chr(code)}").isprintable()
