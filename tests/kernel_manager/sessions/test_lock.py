from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_manager.errors import StorageError
from kernel_manager.files.file_lock import FileLock
from kernel_manager.sessions.lock import RunningCell, SessionLock

CELL = RunningCell("0123456789ab", "msg", "kernel", 12.5)


def tell_nobody(pid: int | None) -> None:
    raise AssertionError(f"told to wait for {pid}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_one_holder_at_a_time(path: Path) -> None:
    one, other = FileLock(path), FileLock(path)
    assert one.try_acquire()
    assert not other.try_acquire()
    one.release()
    assert other.try_acquire()
    other.release()


def test_the_file_is_for_its_owner_only_and_not_inherited(path: Path) -> None:
    lock = FileLock(path)
    assert lock.try_acquire()
    assert path.stat().st_mode & 0o777 == 0o600
    assert not any(os.get_inheritable(fd) for fd in descriptors_of(path))
    lock.release()


def test_attempts_leave_no_descriptor(path: Path) -> None:
    holder, other = SessionLock(path), SessionLock(path)
    assert holder.try_drive()
    before = len(descriptors_of(path))
    assert not other.try_drive()
    assert other.held_elsewhere()
    assert len(descriptors_of(path)) == before
    holder.release()
    assert not descriptors_of(path)


async def test_who_waits_is_told_the_holders_pid_once(path: Path) -> None:
    holder, waiter = SessionLock(path), SessionLock(path)
    await holder.drive(tell_nobody)
    told: list[int | None] = []
    waiting = asyncio.create_task(waiter.drive(told.append))
    while not told:
        await asyncio.sleep(0)
    holder.release()
    await waiting
    assert told == [os.getpid()]
    waiter.release()


async def test_a_cancelled_wait_leaves_nothing_behind(path: Path) -> None:
    holder, waiter = SessionLock(path), SessionLock(path)
    await holder.drive(tell_nobody)
    told = asyncio.Event()
    waiting = asyncio.create_task(waiter.drive(lambda _pid: told.set()))
    await told.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    holder.release()
    assert not descriptors_of(path.parent)
    await waiter.drive(tell_nobody)
    waiter.release()


async def test_a_holder_that_comes_again_at_once_does_not_overtake(path: Path) -> None:
    greedy, waiter = SessionLock(path), SessionLock(path)
    await greedy.drive(tell_nobody)
    order = []

    async def wait() -> None:
        await waiter.drive(lambda _pid: order.append("told"))
        order.append("waiter")
        waiter.release()

    waiting = asyncio.create_task(wait())
    while not order:
        await asyncio.sleep(0)
    greedy.release()
    await greedy.drive(lambda _pid: None)
    order.append("greedy")
    greedy.release()
    await waiting
    assert order == ["told", "waiter", "greedy"]


_HOLDER = """
import asyncio, os, signal, sys
from pathlib import Path
from kernel_manager.sessions.lock import RunningCell, SessionLock

async def main():
    lock = SessionLock(Path(sys.argv[1]))
    await lock.drive(print)
    lock.note(RunningCell("0123456789ab", "msg", "kernel", 12.5))
    print("held", flush=True)
    signal.pause()

asyncio.run(main())
"""


async def test_a_kill_releases_the_lock_and_the_note_stays(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lock = SessionLock(path)
        assert lock.held_elsewhere()
        told: list[int | None] = []
        waiting = asyncio.create_task(lock.drive(told.append))
        while not told:
            await asyncio.sleep(0)
        holder.send_signal(signal.SIGKILL)
        await waiting
    assert told == [holder.pid]
    assert lock.left_running() == CELL
    assert json.loads(path.read_text())["pid"] == os.getpid()
    lock.note(None)
    lock.release()
    assert lock.try_drive()
    assert lock.left_running() is None
    lock.release()


def test_the_note_survives_until_it_is_replaced(path: Path) -> None:
    lock = SessionLock(path)
    assert lock.try_drive()
    lock.note(CELL)
    lock.release()
    assert lock.try_drive()
    assert lock.left_running() == CELL
    lock.note(None)
    assert lock.left_running() is None
    lock.release()


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"[]", b'{"cell": 1}', b'{"cell": {"x": 1}}', b'{"cell": "text"}', b"\xff"]
)
def test_a_damaged_note_is_none(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    lock = SessionLock(path)
    assert lock.try_drive()
    assert lock.left_running() is None
    lock.release()


async def test_the_note_of_an_earlier_version_is_read(path: Path) -> None:
    path.write_text('{"pid": 1, "cell": {"cell_id": "a", "msg_id": "b", "kernel_id": "c"}}')
    lock = SessionLock(path)
    await lock.drive(tell_nobody)
    assert lock.left_running() == RunningCell("a", "b", "c")
    lock.release()


async def test_a_note_that_cannot_be_written_is_a_storage_error_and_the_lock_is_free(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    lock = SessionLock(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StorageError, match="No space left"):
            await lock.drive(tell_nobody)
        with pytest.raises(StorageError, match="No space left"):
            lock.try_drive()
    assert not descriptors_of(path.parent)
    assert lock.try_drive()
    lock.release()


def test_a_lock_that_nobody_ever_held_is_free_and_asking_makes_no_file(path: Path) -> None:
    assert not SessionLock(path).held_elsewhere()
    assert not path.exists()


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "target")
    with pytest.raises(StorageError, match="cannot open"):
        SessionLock(path).try_drive()
    assert not (tmp_path / "target").exists()


def descriptors_of(path: Path) -> list[int]:
    """This process's descriptors of a file, or of files in a folder."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = entry.readlink()
        except FileNotFoundError:
            continue
        if target == path or path in target.parents:
            found.append(int(entry.name))
    return found
