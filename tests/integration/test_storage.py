"""Folders that cannot be used and disks that are full: one line that says what to do, and the session goes on."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from kernel_manager import Interpreter, Session, Settings, StorageError, open_interpreter
from kernel_manager.packages.environments import Environment
from tests.integration.conftest import OwnSettings, folder_for_kernels, make_settings
from tests.integration.support import kernel_folders, value


async def refusal(settings: Settings) -> str:
    """The one line with which an interpreter refuses to open."""
    with pytest.raises(StorageError) as caught:
        async with open_interpreter(settings):
            raise AssertionError("it opened")
    message = str(caught.value)
    assert "\n" not in message
    return message


async def test_a_data_folder_that_is_a_file(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of()
    settings.data_dir.touch()
    assert f"{settings.data_dir} cannot be used" in await refusal(settings)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write and read everything")
@pytest.mark.parametrize("mode", [0o500, 0o300, 0o000])
async def test_a_data_folder_without_rights(own_settings_of: OwnSettings, mode: int) -> None:
    settings = own_settings_of()
    sessions = settings.data_dir / "sessions"
    sessions.mkdir(parents=True)
    folder = sessions if mode == 0o300 else settings.data_dir
    folder.chmod(mode)
    try:
        assert "cannot be used (Permission denied)" in await refusal(settings)
    finally:
        folder.chmod(0o700)


def make_private(path: Path) -> None:
    path.mkdir(parents=True, mode=0o700)


def make_public(path: Path) -> None:
    make_private(path)
    path.chmod(0o755)


def make_link(path: Path) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")


def make_foreign(path: Path) -> None:
    make_private(path)
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize(
    "make",
    [
        make_public,
        make_link,
        pytest.param(make_foreign, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")),
    ],
)
async def test_a_runtime_folder_that_others_could_enter(own_settings_of: OwnSettings, make: Callable[[Path], None]) -> None:
    settings = own_settings_of()
    make(settings.runtime_path)
    message = await refusal(settings)
    assert f"{settings.runtime_path} is not a folder of this user alone" in message
    assert "RUNTIME_DIR" in message


async def test_a_runtime_folder_whose_path_is_too_long_for_sockets(own_settings_of: OwnSettings, tmp_path: Path) -> None:
    message = await refusal(own_settings_of(runtime_dir=tmp_path / ("x" * 100)))
    assert "too long for sockets; set RUNTIME_DIR to a shorter one" in message


async def test_a_history_that_is_a_link_is_not_followed(interpreter: Interpreter, session: Session, tmp_path: Path) -> None:
    await session.execute("1")
    history = session.folder / "history.jsonl"
    history.rename(tmp_path / "away")
    history.symlink_to(tmp_path / "away")
    size = (tmp_path / "away").stat().st_size
    with pytest.raises(StorageError, match=r"history\.jsonl is a link"):
        await session.execute("2")
    assert (tmp_path / "away").stat().st_size == size
    other = await interpreter.session("other")
    assert [info.user_id for info in await interpreter.sessions() if info.user_id in ("other", session.user_id)] == ["other"]
    assert other.folder.exists()
    history.unlink()
    (tmp_path / "away").rename(history)
    assert value(await session.execute("3")) == "3"


async def test_a_lock_that_is_a_link_is_not_followed(session: Session, tmp_path: Path) -> None:
    (session.folder / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(StorageError, match="cannot open"):
        await session.execute("1")
    assert not (tmp_path / "target").exists()
    (session.folder / "lock").unlink()
    assert value(await session.execute("1")) == "1"


# A disk without room.


class SmallDisk:
    """A file system of a few kilobytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Leave no room."""
        with (self.path / "ballast").open("wb", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while file.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue

    @contextlib.contextmanager
    def no_names(self) -> Iterator[None]:
        """Leave no room for another file or folder meanwhile, be it an empty one."""
        folder = self.path / "names"
        folder.mkdir()
        with contextlib.suppress(OSError):
            for number in itertools.count():
                (folder / str(number)).mkdir()
        yield
        shutil.rmtree(folder)

    def free(self) -> None:
        """Make room again."""
        (self.path / "ballast").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def small_disk() -> Iterator[SmallDisk]:
    path = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=200,mode=700", "tmpfs", str(path)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        path.rmdir()
        pytest.skip("only root on Linux can mount a small file system")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()


@pytest.fixture(scope="module")
def crowded_folder(small_disk: SmallDisk, kernel_environment: Environment) -> Iterator[Path]:
    """A data and a runtime folder for the tests of this module; the data is on the small disk."""
    with folder_for_kernels(kernel_environment, data_dir=small_disk.path / "data") as folder:
        yield folder


@pytest.fixture
async def crowded(crowded_folder: Path, kernel_environment: Environment, small_disk: SmallDisk) -> AsyncIterator[Interpreter]:
    """An interpreter whose data folder is on the small disk."""
    async with open_interpreter(
        make_settings(crowded_folder, kernel_environment, data_dir=small_disk.path / "data")
    ) as interpreter:
        yield interpreter
        small_disk.free()


async def test_a_full_disk_refuses_a_cell_in_one_line_and_runs_it_when_there_is_room(
    crowded: Interpreter, small_disk: SmallDisk
) -> None:
    session = await crowded.session("one")
    await session.execute("x = 41")
    small_disk.fill()
    with pytest.raises(StorageError, match=r"full|No space left") as caught:
        await session.execute("x = 0 #" + 5000 * "-")
    assert "\n" not in str(caught.value)
    small_disk.free()
    result = await session.execute("x + 1")
    assert (value(result), result.state_lost) == ("42", False)
    assert [cell.status for cell in session.read_history().cells] == ["ok", "ok"]


async def test_a_result_that_found_no_room_is_recorded_when_there_is_room(crowded: Interpreter, small_disk: SmallDisk) -> None:
    session = await crowded.session("two")
    await session.execute("x = 41")
    fill = """
with open('ballast', 'wb', buffering=0) as file:
    try:
        while file.write(b'x' * 4096) == 4096: pass
    except OSError: pass
print('y' * 100_000)
"""
    with pytest.raises(StorageError, match="full"):
        await session.execute(fill)
    with pytest.raises(StorageError, match="full"):
        await session.execute("x + 2")
    (session.workspace / "ballast").unlink()
    assert value(await session.execute("x + 1")) == "42"
    filled = session.read_history().cells[1]
    assert (filled.status, filled.outputs[0]["text"]) == ("ok", "y" * 100_000 + "\n")


async def test_a_new_session_on_a_full_disk(crowded: Interpreter, small_disk: SmallDisk) -> None:
    small_disk.fill()
    with pytest.raises(StorageError, match=r"full|No space left"):
        await crowded.session("three")
    small_disk.free()
    assert value(await (await crowded.session("three")).execute("1")) == "1"
    assert "three" in [info.user_id for info in await crowded.sessions()]


@pytest.mark.slow
async def test_a_full_runtime_folder(own_settings_of: OwnSettings, small_disk: SmallDisk) -> None:
    settings = own_settings_of(runtime_dir=small_disk.path)
    async with open_interpreter(settings) as interpreter:
        session = await interpreter.session("ada")
        small_disk.fill()
        with pytest.raises(StorageError, match="No space left"):
            await session.execute("1")
        assert not kernel_folders(settings)
        small_disk.free()
        result = await session.execute("1")
        assert (value(result), result.state_lost) == ("1", False)
        await interpreter.stop_all()


async def test_an_interpreter_does_not_open_on_a_full_disk(own_settings_of: OwnSettings, small_disk: SmallDisk) -> None:
    with small_disk.no_names():
        message = await refusal(own_settings_of(data_dir=small_disk.path / "other"))
    assert "No space left on device" in message
