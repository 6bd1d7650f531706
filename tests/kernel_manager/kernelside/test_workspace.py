"""How full a working folder is, as far as it can be seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel_manager.kernelside.workspace import HiddenError, WorkspaceLimits, share

MEGABYTE = 1 << 20


def limits(folder: Path, size: int = MEGABYTE, files: int = 10) -> WorkspaceLimits:
    return WorkspaceLimits(str(folder), size, files, alone=False)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (10, 0), (11, 1), (20, 1), (21, 2), (100, 2)])
def test_files_and_folders_count(tmp_path: Path, count: int, expected: int) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    for number in range(count):
        (folder / str(number)).mkdir() if number % 2 else (folder / str(number)).touch()
    assert share(limits(folder)) == expected


@pytest.mark.parametrize(("size", "expected"), [(MEGABYTE // 2, 0), (MEGABYTE + 8192, 1), (3 * MEGABYTE, 2)])
def test_bytes_on_disk_count(tmp_path: Path, size: int, expected: int) -> None:
    folder = tmp_path / "w" / "deeper"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(os.urandom(size))
    assert share(limits(folder.parent)) == expected


def test_holes_do_not_count_and_links_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    (tmp_path / "big").write_bytes(os.urandom(3 * MEGABYTE))
    (folder / "link").symlink_to(tmp_path)
    assert share(limits(folder)) == 0


def test_a_folder_that_is_closed_is_opened_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    (folder / "closed").mkdir(parents=True)
    (folder / "closed" / "file").write_bytes(os.urandom(3 * MEGABYTE))
    (folder / "closed").chmod(0)
    assert share(limits(folder)) == 2


def test_a_path_that_cannot_be_named_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for _ in range(20):
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    with pytest.raises(HiddenError):
        share(limits(folder, files=100))
    monkeypatch.chdir(folder)
    Path("d" * 250).rename("d")  # pytest removes what it can name
    for _ in range(19):
        os.chdir("d")
        Path("d" * 250).rename("d")
