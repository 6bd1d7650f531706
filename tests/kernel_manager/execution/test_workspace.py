from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.execution.workspace import WorkspaceFile, WorkspaceQuota, keep_within, over_quota
from kernel_manager.tree import remove_tree

KB = 1024


def write(folder: Path, name: str, size: int = 4 * KB) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    with path.open("rb") as file:
        os.fsync(file.fileno())  # until then a file system need not say how much it takes
    return path


def in_order(*paths: Path) -> None:
    """Make the times of change differ, whatever the clock of the file system."""
    last = 0
    for path in paths:
        while True:
            path.chmod(0o600)
            if (now := path.stat().st_ctime_ns) > last:
                last = now
                break


def test_within_the_quota_nothing_goes(tmp_path: Path) -> None:
    write(tmp_path, "a")
    assert keep_within(tmp_path, WorkspaceQuota(1, 4 * KB)) == []
    assert keep_within(tmp_path / "missing", WorkspaceQuota(1, 1)) == []


def test_the_oldest_go_and_a_line_names_them(tmp_path: Path) -> None:
    old, newer, newest = (write(tmp_path, name) for name in ("old", "sub/newer", "newest"))
    in_order(old, newer, newest)
    assert keep_within(tmp_path, WorkspaceQuota(10, 5 * KB)) == [
        f"the session may keep 10 files and {5 / KB:g} MB, so the oldest of its files were removed: old, sub/newer"
    ]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["newest"]


def test_hidden_files_count_and_go_too(tmp_path: Path) -> None:
    hidden, shown = write(tmp_path, ".cache/x"), write(tmp_path, "y")
    in_order(hidden, shown)
    assert len(keep_within(tmp_path, WorkspaceQuota(1, 100 * KB))) == 1
    assert not hidden.exists()
    assert shown.exists()


def test_no_link_is_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    inside.mkdir()
    precious = write(outside, "precious", 64 * KB)
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(precious)
    keep_within(inside, WorkspaceQuota(1, 1))
    keep_within(inside, WorkspaceQuota(1, 0))
    assert precious.exists()


@pytest.mark.skipif(not hasattr(os, "truncate"), reason="needs sparse files")
def test_a_hole_takes_no_room(tmp_path: Path) -> None:
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 30)
    assert keep_within(tmp_path, WorkspaceQuota(10, 64 * KB)) == []


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 8), st.integers(0, 30))
def test_what_stays_is_within_the_quota(sizes: list[int], max_files: int, max_bytes: int) -> None:
    files = [WorkspaceFile(str(n), size, n) for n, size in enumerate(sizes)]
    leaving = over_quota(files, WorkspaceQuota(max_files, max_bytes))
    staying = [file for file in files if file not in leaving]
    assert len(staying) <= max_files
    assert sum(file.size for file in staying) <= max_bytes


def test_a_folder_that_is_too_deep_to_be_walked_hides_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    folder.mkdir()
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    for number in range(3):
        (folder / f"{number}").write_text("x")
    (said,) = keep_within(folder, WorkspaceQuota(max_files=1, max_bytes=1_000_000))
    assert "removed" in said
    assert len([path for path in folder.iterdir() if path.is_file()]) == 1
    remove_tree(folder)
