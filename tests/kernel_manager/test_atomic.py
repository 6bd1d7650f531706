from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel_manager.atomic import write_atomic


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    return path


def test_replaces_the_content_and_leaves_nothing_else(folder: Path) -> None:
    path = folder / "index.json"
    path.write_bytes(b"a longer text than the new one")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(folder.iterdir()) == [path]


def test_text_is_utf8(folder: Path) -> None:
    write_atomic(folder / "a", "Ünïcödé ✓")
    assert (folder / "a").read_bytes() == "Ünïcödé ✓".encode()


def test_is_private_unless_told_otherwise_whatever_the_umask(folder: Path) -> None:
    old = os.umask(0o077)
    try:
        write_atomic(folder / "private", b"")
        write_atomic(folder / "public", b"", mode=0o644)
    finally:
        os.umask(old)
    assert (folder / "private").stat().st_mode & 0o777 == 0o600
    assert (folder / "public").stat().st_mode & 0o777 == 0o644


def test_a_reader_keeps_the_old_file_it_opened(folder: Path) -> None:
    path = folder / "a"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_atomic(path, b"new")
        assert reader.read() == b"old"


def test_a_failure_leaves_the_old_content_and_no_other_file(folder: Path) -> None:
    path = folder / "a"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(OSError, match=r"directory|not empty"):
        write_atomic(path, b"new")
    assert list(folder.iterdir()) == [path]


def test_a_name_of_full_length_can_be_written(folder: Path) -> None:
    path = folder / ("n" * 255)
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "no" / "a", b"x")
