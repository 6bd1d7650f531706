"""Removing what strangers left."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import pytest

from kernel_manager.tree import remove_tree, size_of_tree


def deepen(folder: Path, levels: int, name: str = "d") -> None:
    at = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def test_everything_goes_but_what_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").touch()
    (folder / "a" / "link").symlink_to(tmp_path / "kept")
    (folder / "link").symlink_to(tmp_path / "kept" / "file")
    os.mkfifo(folder / "a" / "fifo")
    remove_tree(folder)
    assert not folder.exists()
    assert (tmp_path / "kept" / "file").exists()


@pytest.mark.parametrize(("levels", "name"), [(3_000, "d"), (100, "n" * 255)], ids=["deep", "long"])
def test_paths_that_cannot_be_named_are_no_obstacle(tmp_path: Path, levels: int, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"12345")
    deepen(folder, levels, name)
    assert size_of_tree(folder) == 5
    remove_tree(folder)
    assert not folder.exists()


def test_folders_that_nobody_may_enter_go_too(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0)
    remove_tree(folder)
    assert not folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="the test before is the same for an ordinary user")
def test_an_ordinary_user_removes_them_too() -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory(dir="/tmp") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child of this process runs nothing but this
        os.chown(name, nobody, nobody)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgid(nobody)
                os.setuid(nobody)
                closed = Path(name, "closed")
                (closed / "a" / "b").mkdir(parents=True)
                (closed / "a" / "b").chmod(0)
                (closed / "a").chmod(0)
                remove_tree(closed)
                status = int(closed.exists())
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError, match="link"):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "kept").exists()
