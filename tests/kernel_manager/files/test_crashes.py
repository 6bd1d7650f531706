"""A kill at any moment, and whatever else may have come between bytes, list and records."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kernel_manager.database.protocol import FileRecord
from kernel_manager.files.index import ShelfEntry
from kernel_manager.files.reconciling import plan_of
from tests.kernel_manager.files.stores import HOUR, NOW, Stores

PROJECT = Path(__file__).resolve().parents[3]

# Does `work`, and is killed when it calls the function at `place` for the `count`th time, before or after that.
KILLED = """
import asyncio, importlib, os, signal, sys
from pathlib import Path
from tests.kernel_manager.files.stores import Clock, Stores

root, place, when, work = sys.argv[1:]
module, owner, name = place.split(":")
target = getattr(importlib.import_module(module), owner)
original = getattr(target, name)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def around(*args, **kwargs):
    if when == "before":
        die()
    result = original(*args, **kwargs)
    if asyncio.iscoroutine(result):
        async def finished():
            await result
            die()
        return finished()
    die()

async def main():
    stores = Stores(Path(root), max_files=2)
    stores.clock.now = stores.clock.now.replace(hour=13)
    store = stores.store()
    setattr(target, name, around)
    if work == "add":
        await store.add("ada", "new", b"x" * 100)
    else:
        await store.remove("ada", "old1")

asyncio.run(main())
"""

SHELF = "kernel_manager.files.shelf"
DATABASE = "kernel_manager.database.sqlite:SqliteDatabase"
MOMENTS_OF_ADDING = {
    "while the bytes come": (f"{SHELF}:Incoming:write", "after", False),
    "before the bytes have their name": (f"{SHELF}:Incoming:place", "before", False),
    "between bytes and record": (f"{SHELF}:Incoming:place", "after", False),
    "before the record": (f"{DATABASE}:save_user_file", "before", False),
    "between record and list": (f"{DATABASE}:save_user_file", "after", True),
    "between list and what has to go": ("kernel_manager.files.reconciler:Reconciler:enlist", "after", True),
    "while an older one goes": (f"{SHELF}:Shelf:delist", "after", True),
    "before an older one's record goes": (f"{DATABASE}:delete_user_file", "before", True),
}


def kill_in(root: Path, place: str, when: str, work: str) -> None:
    command = [sys.executable, "-c", KILLED, str(root), place, when, work]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


async def check_consistent(stores: Stores) -> list[str]:
    """Check that bytes, list and records are of the same files; return their names, by age."""
    database = stores.database()
    files = list(reversed(await stores.store(database).list("ada")))
    folder = stores.data.files("ada")
    listed = json.loads((folder / "index.json").read_text())["files"]
    assert sorted(entry["file_id"] for entry in listed) == sorted(file.file_id for file in files)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*(file.path.name for file in files), "index.json"])
    assert len(await database.get_all_user_files()) == len(files)
    assert all(file.path.stat().st_size == file.size for file in files)
    return [file.filename for file in files]


@pytest.fixture
async def two_files(stores: Stores) -> Stores:
    store = stores.store()
    for name in ("old1", "old2"):
        await store.add("ada", name, b"old")
    return stores


@pytest.mark.parametrize("moment", MOMENTS_OF_ADDING)
async def test_a_kill_while_a_file_is_added_leaves_it_whole_or_not_at_all(two_files: Stores, moment: str) -> None:
    place, when, there = MOMENTS_OF_ADDING[moment]
    await asyncio.to_thread(kill_in, two_files.root, place, when, "add")

    left = await check_consistent(two_files)
    assert ("new" in left) is there
    assert "old2" in left

    two_files.max_files, two_files.clock.now = 2, NOW + 2 * HOUR
    await two_files.store().add("ada", "next", b"x")
    assert await check_consistent(two_files) == (["new", "next"] if there else ["old2", "next"])


@pytest.mark.parametrize(
    ("place", "when"),
    [
        (f"{SHELF}:Shelf:delist", "before"),
        (f"{SHELF}:Shelf:delist", "after"),
        (f"{DATABASE}:delete_user_file", "before"),
        (f"{DATABASE}:delete_user_file", "after"),
    ],
)
async def test_a_kill_while_a_file_is_removed_leaves_it_whole_or_not_at_all(two_files: Stores, place: str, when: str) -> None:
    await asyncio.to_thread(kill_in, two_files.root, place, when, "remove")
    assert await check_consistent(two_files) in (["old1", "old2"], ["old2"])


class TestOrphans:
    async def test_bytes_without_a_record_and_a_record_without_bytes_go_and_are_logged(
        self, two_files: Stores, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = two_files.data.files("ada")
        (folder / "0123456789abcdef-orphan.csv").write_text("x")
        next(folder.glob("*old1")).unlink()
        await two_files.store().reconcile()
        assert await check_consistent(two_files) == ["old2"]
        assert "orphaned bytes removed: 1" in caplog.text
        assert "taken off the list: 1" in caplog.text

    async def test_bytes_whose_record_was_deleted_follow_it(self, two_files: Stores) -> None:
        (record,) = (one for one in await two_files.database().get_user_files("ada") if one["filename"] == "old1")
        await two_files.databases[0].delete_user_file(record["file_id"])
        assert await check_consistent(two_files) == ["old2"]

    async def test_no_file_is_lost_with_its_database(self, two_files: Stores) -> None:
        other = two_files.database("another.sqlite3")
        store = two_files.store(other)
        await store.reconcile()
        assert sorted(record["filename"] for record in await other.get_all_user_files()) == ["old1", "old2"]
        assert two_files.on_disk() == ["old1", "old2"]

    @pytest.mark.parametrize("damage", ["", "{", "null", '{"version": 1, "files": [{"file_id": 5}]}', "[]", "\xff"])
    async def test_no_file_is_lost_with_its_list(self, two_files: Stores, damage: str) -> None:
        index = two_files.data.files("ada") / "index.json"
        index.write_text(damage, encoding="latin-1")
        files = await two_files.store().list("ada")
        assert sorted(file.filename for file in files) == ["old1", "old2"]
        assert len(json.loads(index.read_text())["files"]) == 2

    async def test_a_data_folder_that_was_moved_is_found_again(self, two_files: Stores, tmp_path: Path) -> None:
        await two_files.aclose()
        two_files.root = two_files.root.rename(tmp_path / "moved")
        assert await check_consistent(two_files) == ["old1", "old2"]

    async def test_files_that_a_person_put_there_stay(self, two_files: Stores) -> None:
        strange = two_files.data.files("ada") / "notes.txt"
        strange.write_text("x")
        await two_files.store().reconcile()
        assert strange.exists()

    async def test_nothing_that_a_running_cell_may_use_is_taken_away(self, two_files: Stores) -> None:
        for record in await two_files.database().get_user_files("ada"):
            await two_files.databases[0].delete_user_file(record["file_id"])
        store = two_files.store()
        async with two_files.store().using("ada"):
            await store.reconcile()
            assert two_files.on_disk() == ["old1", "old2"]
        await store.reconcile()
        assert two_files.on_disk() == []

    async def test_what_is_being_written_by_somebody_else_is_left_alone(self, two_files: Stores) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"half"
            begun.set()
            await go_on.wait()
            yield b"half"

        adding = asyncio.create_task(two_files.store().add("ada", "slow", slow()))
        await begun.wait()
        await two_files.store().reconcile()
        go_on.set()
        assert (await adding).file.path.read_bytes() == b"halfhalf"

    async def test_an_empty_folder_goes_unless_it_is_to_be_kept(self, two_files: Stores) -> None:
        store = two_files.store()
        for name in ("old1", "old2"):
            await store.remove("ada", name)
        folder = two_files.data.files("ada")
        assert await store.remove_empty_folders({"ada"}) == []
        assert await store.remove_empty_folders(set()) == [folder]
        await store.add("ada", "new", b"x")
        assert await store.remove_empty_folders(set()) == []
        assert await check_consistent(two_files) == ["new"]


class TestThePlan:
    def plan(self, folder: Path, *, same_database: bool, entries: list[ShelfEntry], records: list[FileRecord]) -> str:
        sizes = {entry.path: entry.size for entry in entries}
        return str(plan_of(folder, "ada", entries, sizes, records, store="s1", same_database=same_database, now=NOW))

    def test_an_expired_file_is_not_taken_over_into_a_new_database(self, tmp_path: Path) -> None:
        def entry(expires: str | None) -> list[ShelfEntry]:
            return [ShelfEntry("f", "a", "a", "f-a", 1, NOW.isoformat(), expires)]

        for expires, expected in [
            (None, "records written: 1"),
            ((NOW + HOUR).isoformat(), "records written: 1"),
            (NOW.isoformat(), "taken off the list: 1, orphaned bytes removed: 1"),
        ]:
            assert self.plan(tmp_path, same_database=False, entries=entry(expires), records=[]) == expected

    def test_a_record_of_a_file_elsewhere_is_left_alone(self, tmp_path: Path) -> None:
        record = FileRecord(
            file_id="f",
            user_id="ada",
            filename="a",
            file_type="t",
            file_path="/elsewhere/a",
            file_size=1,
            created_at=NOW,
            expires_at=None,
        )
        assert self.plan(tmp_path, same_database=True, entries=[], records=[record]) == ""
        record["file_path"] = str(tmp_path / "a")
        assert self.plan(tmp_path, same_database=True, entries=[], records=[record]) == "orphaned records removed: 1"
        record["store"] = "s2"
        assert self.plan(tmp_path, same_database=True, entries=[], records=[record]) == ""


async def test_two_data_folders_may_share_a_database_and_look_after_their_own_files_only(stores: Stores, tmp_path: Path) -> None:
    """As two machines do whose data folders have the same path."""
    database = stores.database()
    here = stores.store(database)
    file = (await here.add("ada", "here", b"x")).file
    stores.data.file_folders.rename(tmp_path / "machine1")

    there = stores.store(database)
    assert await there.list("ada") == []
    await there.add("ada", "there", b"y")
    stores.clock.now += 49 * HOUR
    removed, _ = await there.remove_expired()
    assert [each.filename for each in removed] == ["there"]
    await there.reconcile()
    assert [record["file_id"] for record in await database.get_all_user_files()] == [file.file_id]

    stores.data.file_folders.rename(tmp_path / "machine2")
    (tmp_path / "machine1").rename(stores.data.file_folders)
    assert [each.filename for each in (await stores.store(database).remove_expired())[0]] == ["here"]
    assert stores.on_disk() == []
