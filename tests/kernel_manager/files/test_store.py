from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel_manager.errors import DatabaseError, LimitError, StorageError, UsageError
from kernel_manager.files.store import FileStore
from kernel_manager.files.user_file import FileLimits, UserFile, surplus
from tests.kernel_manager.files.stores import HOUR, MB, NOW, Stores


def names(files: list[UserFile]) -> list[str]:
    return [file.filename for file in files]


async def add_many(store: FileStore, count: int, user: str = "ada", size: int = 1) -> None:
    for number in range(count):
        await store.add(user, f"f{number}", bytes(size))


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class AsyncReader:
    """As aiohttp's: ``read`` is awaited."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    async def read(self, size: int = -1, /) -> bytes:
        return self._content.read(size)


class TestAdding:
    async def test_a_file_has_its_bytes_its_record_and_its_place_on_the_list(self, stores: Stores) -> None:
        database = stores.database()
        added = await stores.store(database).add(42, "Umsätze.csv", b"a,b\n1,2\n")

        file = added.file
        assert (file.user_id, file.filename, file.file_type, file.size) == ("42", "Umsätze.csv", "text/csv", 8)
        assert file.expires_at == file.created_at + 48 * HOUR
        assert file.path.read_bytes() == b"a,b\n1,2\n"
        assert [UserFile.of(record) for record in await database.get_user_files(42)] == [file]
        (listed,) = json.loads((file.path.parent / "index.json").read_text())["files"]
        assert (listed["file_id"], listed["mime"], listed["expires_at"]) == (
            file.file_id,
            "text/csv",
            cast("Any", file.expires_at).isoformat(),
        )
        assert (added.removed, added.note) == ([], None)

    @pytest.mark.parametrize("content", [b"", b"x", bytes(MB)], ids=len)
    async def test_every_kind_of_stream_is_read_to_its_end(self, stores: Stores, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "source").write_bytes(content)
        half = len(content) // 2
        store = stores.store()
        for stream in (
            content,
            tmp_path / "source",
            io.BytesIO(content),
            AsyncReader(content),
            in_pieces(content[:half], b"", content[half:]),
        ):
            file = (await store.add("ada", "a.bin", cast("Any", stream))).file
            assert file.path.read_bytes() == content
            assert file.size == len(content)

    async def test_the_size_is_checked_while_it_comes(self, stores: Stores) -> None:
        given_so_far = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal given_so_far
            while True:
                given_so_far += 1 << 16
                yield bytes(1 << 16)

        with pytest.raises(LimitError, match=r"a\.bin is larger than 1 MB; .*MAX_FILE_SIZE_MB"):
            await stores.store().add("ada", "a.bin", endless())
        assert given_so_far <= 2 * MB
        assert stores.on_disk() == []

    @pytest.mark.parametrize("stream", [io.StringIO("text"), object(), 5, None], ids=lambda stream: type(stream).__name__)
    async def test_what_gives_no_bytes_is_refused(self, stores: Stores, stream: object) -> None:
        with pytest.raises(UsageError):
            await stores.store().add("ada", "a", cast("BinaryIO", stream))
        assert stores.on_disk() == []

    async def test_a_stream_that_breaks_off_leaves_nothing(self, stores: Stores) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"half"
            raise ConnectionResetError("gone")

        store = stores.store()
        with pytest.raises(ConnectionResetError):
            await store.add("ada", "a", broken())
        assert stores.on_disk() == []
        assert await store.list("ada") == []

    async def test_who_is_cancelled_while_bytes_come_leaves_nothing(self, stores: Stores) -> None:
        begun = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"half"
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(stores.store().add("ada", "a", slow()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stores.on_disk() == []

    async def test_a_database_that_fails_leaves_no_bytes(self, stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
        database = stores.database()
        store = stores.store(database)
        await store.add("ada", "kept", b"x")

        async def fail(_record: object) -> None:
            raise DatabaseError("it cannot be reached")

        monkeypatch.setattr(database, "save_user_file", fail)
        with pytest.raises(DatabaseError):
            await store.add("ada", "a", b"x")
        assert stores.on_disk() == ["kept"]
        assert names(await store.list("ada")) == ["kept"]

    @pytest.mark.parametrize("user", ["", "\n", True, 1.5, "x" * 300])
    async def test_who_cannot_be_a_user_is_refused(self, stores: Stores, user: Any) -> None:
        with pytest.raises(UsageError):
            await stores.store().add(user, "a", b"")

    async def test_users_do_not_see_each_other(self, stores: Stores) -> None:
        store = stores.store()
        file = (await store.add("ada", "a", b"x")).file
        await store.add("../ada", "b", b"y")
        assert names(await store.list("../ada")) == ["b"]
        with pytest.raises(UsageError, match="no file"):
            await store.open("../ada", file.file_id)


HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "..",
    ".",
    "",
    "con",
    "a/../../b",
    "\u202egpj.exe",
    "-rf",
    "x" * 10_000,
    "a\nb",
]


class TestNames:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(name=st.one_of(st.sampled_from(HOSTILE), st.text(max_size=300)))
    def test_no_name_leads_out_of_the_folder_and_each_file_is_found_again(self, tmp_path: Path, name: str) -> None:
        async def scenario() -> None:
            stores = Stores(tmp_path / "data", max_files=100)
            store = stores.store()
            file = (await store.add("ada", name, b"content")).file
            assert file.path.parent == stores.data.files("ada")
            assert file.path.read_bytes() == b"content"
            assert len(file.path.name.encode()) <= 255
            assert (await store.find("ada", file.file_id)).filename == file.filename
            await store.remove("ada", file.file_id)
            assert not file.path.exists()
            await stores.aclose()

        asyncio.run(scenario())

    async def test_the_original_name_is_kept_and_finds_the_file(self, stores: Stores) -> None:
        store = stores.store()
        file = (await store.add("ada", "a/b:c.csv", b"")).file
        assert (file.filename, file.original_name) == ("a_b_c.csv", "a/b:c.csv")
        assert await store.find("ada", "a/b:c.csv") == file


class TestFinding:
    async def test_files_come_newest_first_and_a_name_stands_for_the_newest(self, stores: Stores) -> None:
        store = stores.store()
        old = (await store.add("ada", "a", b"old")).file
        new = (await store.add("ada", "a", b"new")).file
        assert await store.list("ada") == [new, old]
        assert await store.find("ada", "a") == new
        with await store.open("ada", old.file_id) as file:
            assert file.read() == b"old"

    async def test_an_unknown_file_gets_a_line_that_lists_what_there_is(self, stores: Stores) -> None:
        store = stores.store()
        with pytest.raises(UsageError, match="there are none yet, add one"):
            await store.find("ada", "nope")
        file = (await store.add("ada", "a.csv", b"")).file
        with pytest.raises(UsageError, match=rf"no file 'nope'; there are: a\.csv \({file.file_id}\)"):
            await store.find("ada", "nope")


class TestLimits:
    async def test_the_oldest_goes_when_a_new_one_arrives_and_the_result_says_so(self, stores: Stores) -> None:
        stores.max_files = 3
        store = stores.store()
        await add_many(store, 3)
        added = await store.add("ada", "new", b"x")
        assert names(added.removed) == ["f0"]
        assert stores.on_disk() == ["f1", "f2", "new"]
        assert names(await store.list("ada")) == ["new", "f2", "f1"]

    async def test_the_oldest_go_until_the_size_of_all_is_kept(self, stores: Stores) -> None:
        stores.max_total_bytes = 100
        store = stores.store()
        await add_many(store, 4, size=25)
        added = await store.add("ada", "new", bytes(60))
        assert names(added.removed) == ["f0", "f1", "f2"]
        assert names(await store.list("ada")) == ["new", "f3"]

    async def test_a_file_larger_than_the_size_of_all_is_refused_and_pushes_nothing_out(self, stores: Stores) -> None:
        stores.max_total_bytes = 100
        store = stores.store()
        await add_many(store, 2)
        with pytest.raises(LimitError):
            await store.add("ada", "new", bytes(101))
        assert names(await store.list("ada")) == ["f1", "f0"]

    async def test_other_users_files_stay(self, stores: Stores) -> None:
        stores.max_files = 1
        store = stores.store()
        await store.add("ada", "a", b"")
        assert (await store.add("bob", "b", b"")).removed == []

    async def test_nothing_goes_while_a_cell_runs_and_it_goes_afterwards(self, stores: Stores) -> None:
        stores.max_files = 2
        store = stores.store()
        await add_many(store, 2)
        async with stores.store().using("ada"):
            added = await store.add("ada", "new", b"")
            assert added.removed == []
            assert "f0" in str(added.note)
            assert stores.on_disk() == ["f0", "f1", "new"]
        assert names((await store.remove_expired())[0]) == ["f0"]
        assert stores.on_disk() == ["f1", "new"]

    async def test_nothing_goes_while_a_cell_runs_that_nobody_waits_for(self, stores: Stores) -> None:
        async def somebody(user_id: str) -> bool:
            return user_id == "ada"

        stores.max_files, stores.runs_unattended = 1, somebody
        store = stores.store()
        for user in ("ada", "bob"):
            await store.add(user, "old", b"")
            await store.add(user, "new", b"")
        assert stores.on_disk("ada") == ["new", "old"]
        assert stores.on_disk("bob") == ["new"]

    async def test_even_then_there_is_an_end(self, stores: Stores) -> None:
        stores.max_files = 2
        store = stores.store()
        async with store.using("ada"):
            await add_many(store, 4)
            with pytest.raises(LimitError, match=r"MAX_FILES_PER_USER.*wait until the cell is done"):
                await store.add("ada", "new", b"")
        assert len(stores.on_disk()) == 4

    @given(
        sizes=st.lists(st.integers(0, 50), max_size=12),
        max_files=st.integers(1, 6),
        max_total=st.integers(50, 120),
    )
    def test_what_goes_is_the_fewest_of_the_oldest(self, sizes: list[int], max_files: int, max_total: int) -> None:
        files = [
            UserFile(str(n), "u", "f", "f", "t", Path("f"), size, NOW + n * timedelta(seconds=1), None)
            for n, size in enumerate(sizes)
        ]
        limits = FileLimits(max_files, 50, max_total, None)
        leaving = surplus(files, limits, newest=str(len(files) - 1))
        staying = files[len(leaving) :]
        assert leaving == files[: len(leaving)]
        assert len(staying) <= max_files
        assert sum(file.size for file in staying) <= max_total
        if leaving:
            one_more = files[len(leaving) - 1 :]
            assert len(one_more) > max_files or sum(file.size for file in one_more) > max_total


class TestExpiry:
    async def test_an_expired_file_is_not_listed_and_goes_with_the_next_clean_up(self, stores: Stores) -> None:
        store = stores.store()
        await store.add("ada", "a", b"x")
        stores.clock.now += 49 * HOUR
        assert await store.list("ada") == []
        removed, kept = await store.remove_expired()
        assert (names(removed), kept) == (["a"], 0)
        assert stores.on_disk() == []
        assert await stores.databases[0].get_all_user_files() == []

    async def test_a_file_that_is_used_stays_until_it_is_not(self, stores: Stores) -> None:
        store = stores.store()
        await store.add("ada", "a", b"x")
        stores.clock.now += 49 * HOUR
        async with stores.store().using("ada"):
            assert await store.remove_expired() == ([], 1)
            assert stores.on_disk() == ["a"]
        assert len((await store.remove_expired())[0]) == 1

    async def test_never_means_never(self, stores: Stores) -> None:
        stores.lifetime = None
        store = stores.store()
        assert (await store.add("ada", "a", b"x")).file.expires_at is None
        stores.clock.now += 10_000 * HOUR
        assert await store.remove_expired() == ([], 0)
        assert (await store.extend("ada", "a")).expires_at is None

    async def test_extending_adds_a_lifetime_for_database_and_kernels_alike(self, stores: Stores) -> None:
        store = stores.store()
        file = (await store.add("ada", "a", b"x")).file
        assert file.expires_at is not None
        extended = await store.extend("ada", "a")
        assert extended.expires_at == file.expires_at + 48 * HOUR
        assert await store.list("ada") == [extended]
        (listed,) = json.loads((file.path.parent / "index.json").read_text())["files"]
        assert listed["expires_at"] == extended.expires_at.isoformat()

    async def test_an_extended_file_keeps_its_place_among_those_of_its_name(self, stores: Stores) -> None:
        store = stores.store()
        old = (await store.add("ada", "a", b"old")).file
        new = (await store.add("ada", "a", b"new")).file
        await store.extend("ada", old.file_id)
        listed = json.loads((new.path.parent / "index.json").read_text())["files"]
        assert [entry["file_id"] for entry in listed] == [old.file_id, new.file_id]
        assert await store.find("ada", "a") == new

    async def test_a_record_of_another_application_goes_but_never_a_file_that_is_not_ours(
        self, stores: Stores, tmp_path: Path
    ) -> None:
        foreign = tmp_path / "precious"
        foreign.write_text("x")
        database = stores.database()
        record = {"file_id": "f", "user_id": "ada", "filename": "precious", "file_path": str(foreign), "expires_at": NOW}
        await database.save_user_file(record)
        removed, _ = await stores.store(database).remove_expired()
        assert len(removed) == 1
        assert foreign.exists()
        assert await database.get_all_user_files() == []


class TestKeeping:
    @pytest.fixture
    def workspace(self, stores: Stores) -> Path:
        folder = stores.data.workspace("ada", "s")
        folder.mkdir(parents=True)
        return folder

    async def test_what_a_session_wrote_becomes_a_file_of_the_user(self, stores: Stores, workspace: Path) -> None:
        (workspace / "out").mkdir()
        (workspace / "out" / "table.csv").write_text("a\n1\n")
        store = stores.store()
        file = (await store.keep("ada", "s", "out/table.csv")).file
        (workspace / "out" / "table.csv").unlink()
        assert (file.filename, file.path.read_text()) == ("table.csv", "a\n1\n")

    async def test_nothing_else_does(self, stores: Stores, workspace: Path, tmp_path: Path) -> None:
        for name in ("secret", "linked"):
            (tmp_path / name).write_text("secret")
        (workspace / "link").symlink_to(tmp_path / "secret")
        (workspace / "folder").symlink_to(tmp_path)
        (workspace / "second").hardlink_to(tmp_path / "linked")
        os.mkfifo(workspace / "pipe")
        store = stores.store()
        for name in ("link", "folder/secret", "second", "pipe", "../s/x", "/etc/passwd", "", ".", "missing", "a\0b", "x" * 5_000):
            with pytest.raises(UsageError):
                await store.keep("ada", "s", name)
        assert await store.list("ada") == []


ADDER = """
import asyncio, sys
from pathlib import Path
from tests.kernel_manager.files.stores import Clock, Stores
async def main():
    stores = Stores(Path(sys.argv[1]), max_files=int(sys.argv[4]))
    store = stores.store()
    for n in range(int(sys.argv[3])):
        await store.add("ada", f"{sys.argv[2]}{n}", b"x" * 1000)
    await stores.aclose()
asyncio.run(main())
"""


def adding(root: Path, prefix: str, count: int, limit: int = 100) -> subprocess.Popen[str]:
    project = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", ADDER, str(root), prefix, str(count), str(limit)]
    return subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True)


class TestSeveralAtOnce:
    async def test_two_processes_add_and_nothing_is_lost(self, stores: Stores) -> None:
        processes = [adding(stores.root, prefix, 15) for prefix in "ab"]
        for process in processes:
            assert (await asyncio.to_thread(process.communicate))[1] == ""
        files = await stores.store().list("ada")
        assert sorted(names(files)) == sorted(f"{prefix}{n}" for prefix in "ab" for n in range(15))
        assert all(file.path.read_bytes() == b"x" * 1000 for file in files)
        assert len(json.loads((files[0].path.parent / "index.json").read_text())["files"]) == 30

    async def test_two_processes_keep_to_the_limit_together(self, stores: Stores) -> None:
        stores.max_files = 5
        processes = [adding(stores.root, prefix, 10, limit=5) for prefix in "ab"]
        for process in processes:
            assert (await asyncio.to_thread(process.communicate))[1] == ""
        assert len(await stores.store().list("ada")) == 5
        assert len(stores.on_disk()) == 5

    async def test_many_tasks_add_at_once(self, stores: Stores) -> None:
        store = stores.store()
        await asyncio.gather(*(store.add("ada", f"f{n}", b"x") for n in range(20)))
        assert len(await store.list("ada")) == 20


class TestFullDisk:
    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
    async def test_a_file_that_does_not_fit_is_refused_and_the_others_stay(self, tmp_path: Path) -> None:
        mount = tmp_path / "small"
        mount.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], capture_output=True, check=False)
        if mounted.returncode:
            pytest.skip("this machine lets nobody mount")
        stores = Stores(mount / "data", max_file_bytes=8 * MB, max_total_bytes=8 * MB)
        try:
            store = stores.store()
            await store.add("ada", "kept", b"x")
            with pytest.raises(StorageError, match="is full; free some space"):
                await store.add("ada", "big", bytes(4 * MB))
            assert stores.on_disk() == ["kept"]
            assert names(await store.list("ada")) == ["kept"]
        finally:
            await stores.aclose()
            subprocess.run(["umount", "--lazy", str(mount)], check=True)
