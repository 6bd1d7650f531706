from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_manager.errors import StorageError
from kernel_manager.packages.overlay import CURRENT, Overlay, OverlayContent, add_links, holds_module
from kernel_manager.packages.uv import Cancelled


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    made = Overlay(tmp_path / "ada" / "g-20260101T000000-abcdef")
    made.prepare()
    return made


def show(overlay: Overlay, **modules: str) -> Path:
    """Switch to a version with these modules."""
    version = overlay.new_version()
    for name, source in modules.items():
        (version / f"{name}.py").write_text(source)
    OverlayContent(packages=dict.fromkeys(modules, "1.0")).write(version)
    overlay.switch(version)
    return version


def test_is_there_and_empty_before_anything_is_installed(overlay: Overlay) -> None:
    assert overlay.current.is_dir()
    assert overlay.content() == OverlayContent()
    before = overlay.current.readlink()
    overlay.prepare()
    assert overlay.current.readlink() == before


def test_a_live_python_finds_what_is_added_later_and_asked_for_in_vain_before(overlay: Overlay) -> None:
    program = (
        "import sys\nsys.path.append(sys.argv[1])\n"
        "for line in sys.stdin:\n"
        "    try:\n        print(__import__(line.strip()).X, flush=True)\n"
        "    except ModuleNotFoundError:\n        print('missing', flush=True)\n"
    )
    command = [sys.executable, "-I", "-c", program, str(overlay.current)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as python:

        def imported(name: str) -> str:
            assert python.stdin is not None
            assert python.stdout is not None
            python.stdin.write(f"{name}\n")
            python.stdin.flush()
            return python.stdout.readline().strip()

        assert imported("first") == "missing"
        show(overlay, first="X = 1")
        assert imported("first") == "1"
        assert imported("second") == "missing"
        # at once: the time of a folder must not have to change by itself
        for number in range(20):
            show(overlay, first="X = 1", **{f"second{number}": f"X = {number}"})
            assert imported(f"second{number}") == str(number)
        python.communicate()


def test_there_is_a_whole_version_at_every_moment(overlay: Overlay) -> None:
    seen = set()
    for number in range(10):
        version = show(overlay, **{f"m{number}": ""})
        seen.add(overlay.content().packages.keys() == {f"m{number}"})
        assert overlay.current.resolve() == version
    assert seen == {True}


def test_only_the_current_version_and_the_one_before_are_kept(overlay: Overlay) -> None:
    versions = [show(overlay, m="") for _ in range(4)]
    left = overlay.new_version()
    (overlay.folder / f".{CURRENT}.v-000000000000").symlink_to("nowhere")
    newest = show(overlay, m="")
    assert {path.name for path in overlay.folder.iterdir()} == {CURRENT, newest.name, versions[-1].name}
    assert not left.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"requested": 1, "packages": {}, "size": 0}', '{"packages": []}'])
def test_a_manifest_that_cannot_be_read_is_that_of_nothing(overlay: Overlay, text: str) -> None:
    (overlay.current / "threadbook-overlay.json").write_text(text)
    assert overlay.content() == OverlayContent()


def test_modules_of_all_kinds_are_found(tmp_path: Path) -> None:
    (tmp_path / "space" / "part").mkdir(parents=True)
    (tmp_path / "one.py").touch()
    (tmp_path / "two.cpython-311-x86_64-linux-gnu.so").touch()
    (tmp_path / "space" / "three.abi3.so").touch()
    (tmp_path / "four.txt").touch()
    found = {
        name for name in ("one", "two", "space", "space.part", "space.three", "four", "fi", "o") if holds_module(tmp_path, name)
    }
    assert found == {"one", "two", "space", "space.part", "space.three"}


def test_links_add_what_is_lacking_and_replace_nothing(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old / "a", new / "a"):
        folder.mkdir(parents=True)
    (old / "a" / "x").write_text("old")
    (old / "a" / "y").write_text("old")
    (new / "a" / "x").write_text("new")
    add_links(old, new)
    assert (new / "a" / "x").read_text() == "new"
    assert (old / "a" / "x").read_text() == "old"
    assert (new / "a" / "y").samefile(old / "a" / "y")


def test_waiting_for_the_lock_can_be_given_up(overlay: Overlay) -> None:
    with overlay.locked(), pytest.raises(Cancelled), overlay.locked(lambda: True):
        pass


def test_the_lock_lies_where_no_kernel_sees_it(overlay: Overlay) -> None:
    with overlay.locked() as lock:
        path = Path(f"/proc/self/fd/{lock}").readlink()
        assert path.parent == overlay.folder.parent
        with path.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/g: .*; check DATA_DIR"):
        Overlay(tmp_path / "file" / "g").prepare()


def test_removing_leaves_nothing(overlay: Overlay) -> None:
    assert overlay.remove()
    assert list(overlay.folder.parent.iterdir()) == []
