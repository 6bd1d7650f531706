from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel_manager import Interpreter, Settings, open_interpreter
from kernel_manager.errors import DatabaseError
from kernel_manager.housekeeping import Housekeeping
from kernel_manager.provisioning.runtime import Runtime
from kernel_manager.sessions.lock import SessionLock
from kernel_manager.sessions.owner import Owner
from kernel_manager.sessions.places import DataFolder

HOUR = timedelta(hours=1)


@dataclass
class Clock:
    """The machine's time, and what a test adds to it."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    # the path of a socket has to be short
    with tempfile.TemporaryDirectory(prefix="tb-", dir="/tmp") as runtime_dir:
        yield Settings(data_dir=tmp_path / "data", runtime_dir=Path(runtime_dir), session_retention_days=30)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def interpreter(settings: Settings, clock: Clock) -> AsyncIterator[Interpreter]:
    async with open_interpreter(settings, clock=clock, housekeeping=False) as opened:
        yield opened


@pytest.fixture
def data(settings: Settings) -> DataFolder:
    return DataFolder(settings.data_dir)


@pytest.fixture
def runtime(settings: Settings) -> Runtime:
    return Runtime(settings.runtime_path)


class TestFiles:
    async def test_expired_files_go_from_disk_and_database_and_the_report_says_which_and_how_much(
        self, interpreter: Interpreter, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = (await interpreter.files.add(42, "a.csv", bytes(1000))).file
        clock.ahead = 49 * HOUR
        with caplog.at_level("INFO"):
            report = await interpreter.cleanup()
        assert report.files == [f"42: a.csv ({file.file_id})"]
        assert report.bytes_freed == 1000
        assert report.folders == [str(file.path.parent)]
        assert "removed 1 files, 1 empty folders, 0.0 MB freed" in caplog.text
        assert not file.path.parent.exists()
        assert await interpreter.database.get_all_user_files() == []
        assert (await interpreter.cleanup()).to_dict() == {
            **{name: [] for name in ("files", "put_right", "sessions", "folders", "runtime", "errors")},
            "bytes_freed": 0,
            "files_in_use": 0,
        }

    async def test_the_folder_of_a_user_whose_kernel_lives_stays(
        self, interpreter: Interpreter, clock: Clock, runtime: Runtime
    ) -> None:
        file = (await interpreter.files.add("ada", "a.csv", b"x")).file
        session = await interpreter.session("ada")
        folder = runtime.create()
        Owner("ada", session.session_id).write(folder)
        with supervised(folder.init_socket):
            clock.ahead = 49 * HOUR
            assert len((await interpreter.cleanup()).files) == 1
            assert file.path.parent.exists()

    async def test_a_database_that_fails_does_not_keep_the_rest_from_being_done(
        self, interpreter: Interpreter, data: DataFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: Any) -> None:
            raise DatabaseError("it cannot be reached")

        monkeypatch.setattr(interpreter.database, "get_all_user_files", fail)
        data.session("ada", "empty").create()
        clock.ahead = 2 * HOUR
        report = await interpreter.cleanup()
        assert report.sessions == ["ada/empty"]
        assert report.errors
        assert set(report.errors) == {"it cannot be reached"}


class TestSessions:
    async def test_one_that_was_never_made_goes_after_a_while(
        self, interpreter: Interpreter, data: DataFolder, clock: Clock
    ) -> None:
        data.session("ada", "empty").create()
        assert (await interpreter.cleanup()).sessions == []
        clock.ahead = 2 * HOUR
        assert (await interpreter.cleanup()).sessions == ["ada/empty"]

    async def test_one_goes_when_its_retention_is_over_and_not_before(
        self, interpreter: Interpreter, data: DataFolder, clock: Clock
    ) -> None:
        await interpreter.session("ada", "old")
        places = data.session("ada", "old")
        (places.workspace / "big").write_bytes(bytes(5000))
        clock.ahead = timedelta(days=29)
        assert (await interpreter.cleanup()).sessions == []
        assert places.exists
        clock.ahead = timedelta(days=31)
        report = await interpreter.cleanup()
        assert report.sessions == ["ada/old"]
        assert report.bytes_freed > 5000
        assert not places.folder.exists()

    async def test_one_that_was_used_lately_stays_however_old_it_is(
        self, interpreter: Interpreter, data: DataFolder, clock: Clock
    ) -> None:
        await interpreter.session("ada", "old")
        places = data.session("ada", "old")
        os.utime(places.history, (0, 0))
        assert SessionLock(places.lock).try_drive()
        assert (await interpreter.cleanup()).sessions == []

    async def test_one_that_somebody_drives_stays(self, interpreter: Interpreter, data: DataFolder, clock: Clock) -> None:
        await interpreter.session("ada", "old")
        lock = SessionLock(data.session("ada", "old").lock)
        assert lock.try_drive()
        clock.ahead = timedelta(days=31)
        assert (await interpreter.cleanup()).sessions == []
        lock.release()
        assert (await interpreter.cleanup()).sessions == ["ada/old"]

    async def test_one_whose_kernel_lives_stays(
        self, interpreter: Interpreter, runtime: Runtime, clock: Clock, data: DataFolder
    ) -> None:
        await interpreter.session("ada", "old")
        folder = runtime.create()
        Owner("ada", "old").write(folder)
        with supervised(folder.init_socket):
            clock.ahead = timedelta(days=31)
            assert (await interpreter.cleanup()).sessions == []

    async def test_never_means_never(self, settings: Settings, clock: Clock) -> None:
        async with open_interpreter(settings.model_copy(update={"session_retention_days": -1}), clock=clock) as interpreter:
            await interpreter.session("ada", "old")
            clock.ahead = timedelta(days=9_999)
            assert (await interpreter.cleanup()).sessions == []

    async def test_what_a_killed_clean_up_left_of_one_goes(self, interpreter: Interpreter, data: DataFolder) -> None:
        left = data.session_folders / "ada" / ".leaving-old"
        (left / "workspace").mkdir(parents=True)
        await interpreter.cleanup()
        assert not left.exists()

    async def test_links_are_not_followed(self, interpreter: Interpreter, data: DataFolder, clock: Clock, tmp_path: Path) -> None:
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "file").touch()
        await interpreter.session("ada", "old")
        places = data.session("ada", "old")
        (places.workspace / "link").symlink_to(precious)
        places.folder.with_name("linked").symlink_to(precious)
        clock.ahead = timedelta(days=31)
        assert (await interpreter.cleanup()).sessions == ["ada/old"]
        assert (precious / "file").exists()


class TestRuntimeFolder:
    async def test_folders_of_dead_kernels_and_sockets_of_dead_zygotes_go(
        self, interpreter: Interpreter, runtime: Runtime, clock: Clock
    ) -> None:
        ownerless, owned = runtime.create(), runtime.create()
        Owner("nobody", "gone").write(owned)
        dead = runtime.root / "z-dead.sock"
        with supervised(dead):
            pass
        live = runtime.root / "z-live.sock"
        with supervised(live):
            clock.ahead = 2 * HOUR
            report = await interpreter.cleanup()
            assert sorted(report.runtime) == sorted([ownerless.kernel_id, owned.kernel_id, "z-dead.sock"])
            assert runtime.folders() == []
            assert runtime.zygote_sockets() == [live]

    async def test_what_is_being_made_stays(self, interpreter: Interpreter, runtime: Runtime) -> None:
        folder = runtime.create()
        assert (await interpreter.cleanup()).runtime == []
        assert folder.path.exists()


class TestRounds:
    """One after the other, whenever one is due; of several processes only one does it."""

    @dataclass
    class Sleeper:
        clock: Clock
        slept: list[float] = field(default_factory=list)
        nap: asyncio.Event = field(default_factory=asyncio.Event)

        async def __call__(self, seconds: float) -> None:
            self.slept.append(seconds)
            if len(self.slept) == 4:
                self.nap.set()
                await asyncio.Event().wait()
            self.clock.ahead += timedelta(seconds=seconds)

    async def test_the_first_is_due_at_once_and_the_next_an_interval_later(
        self, interpreter: Interpreter, clock: Clock, settings: Settings
    ) -> None:
        await interpreter.files.add("ada", "a", b"x")
        sleeper = self.Sleeper(clock)
        housekeeping = self.made(interpreter, settings, clock, sleeper)
        async with housekeeping.running():
            await sleeper.nap.wait()
        assert sleeper.slept[0] == 0
        assert sleeper.slept[1:] == pytest.approx([3600] * 3, abs=30)

    async def test_a_process_that_starts_soon_after_waits_for_the_rest_of_the_interval(
        self, interpreter: Interpreter, clock: Clock, settings: Settings
    ) -> None:
        await interpreter.cleanup()
        clock.ahead += HOUR / 2
        sleeper = self.Sleeper(clock)
        async with self.made(interpreter, settings, clock, sleeper).running():
            await sleeper.nap.wait()
        assert sleeper.slept[0] == pytest.approx(1800, abs=30)

    async def test_a_round_that_fails_is_tried_again(
        self, interpreter: Interpreter, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: Any) -> None:
            raise DatabaseError("it cannot be reached")

        monkeypatch.setattr(interpreter.database, "get_all_user_files", fail)
        sleeper = self.Sleeper(clock)
        async with self.made(interpreter, settings, clock, sleeper).running():
            await sleeper.nap.wait()
        assert sleeper.slept == [0, 300, 0, 300]

    def made(self, interpreter: Interpreter, settings: Settings, clock: Clock, sleeper: Sleeper) -> Housekeeping:
        data, runtime = DataFolder(settings.data_dir), Runtime(settings.runtime_path)
        return Housekeeping(settings, data, runtime, interpreter.files, interpreter._pool, clock, sleeper)


class supervised:  # noqa: N801  (reads as what it does)
    """Listen at a socket, as a kernel's supervisor or a zygote does."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(str(path))
        self._socket.listen(64)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._socket.close()
