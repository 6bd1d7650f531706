"""What every database does: SQLite, the wire protocol of MongoDB through pymongo and through Motor, and a real MongoDB."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from pymongo import AsyncMongoClient

from kernel_manager.database.mongo import MongoDatabase
from kernel_manager.database.protocol import Database
from kernel_manager.database.sqlite import SqliteDatabase
from kernel_manager.errors import ClosedError, UsageError
from tests.kernel_manager.files.stores import Stores
from tests.mongo_server import mongo_server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Backend:
    """Opens databases that all have the same data."""

    make: Callable[[Clock], Database]
    clock: Clock = field(default_factory=Clock)


@pytest.fixture(scope="module")
def wire_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mongo_server(tmp_path_factory.mktemp("mongo")) as uri:
        yield uri


@contextlib.asynccontextmanager
async def through_pymongo(uri: str) -> AsyncIterator[Any]:
    async with AsyncMongoClient[dict[str, Any]](uri, tz_aware=True, serverSelectionTimeoutMS=5_000) as client:
        yield client[f"threadbook-test-{os.getpid()}"]


@contextlib.asynccontextmanager
async def through_motor(uri: str) -> AsyncIterator[Any]:
    from motor.motor_asyncio import AsyncIOMotorClient

    client: Any = AsyncIOMotorClient(uri, serverSelectionTimeoutMS=5_000)  # not tz_aware: applications seldom are
    try:
        yield client[f"threadbook-test-{os.getpid()}"]
    finally:
        client.close()


REAL_MONGODB = os.environ.get("TEST_MONGODB_URI", "")


@pytest.fixture(params=["sqlite", "pymongo", "motor", *(["mongodb"] if REAL_MONGODB else [])])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    if request.param == "sqlite":
        yield Backend(lambda clock: SqliteDatabase(tmp_path / "test.sqlite3", clock))
        return
    uri = REAL_MONGODB if request.param == "mongodb" else request.getfixturevalue("wire_uri")
    connect = through_motor if request.param == "motor" else through_pymongo
    async with connect(uri) as database:
        yield Backend(lambda clock: MongoDatabase(database, "mongodb://test", clock=clock))
        for name in await database.list_collection_names():
            await database[name].delete_many({})


@pytest.fixture
async def database(backend: Backend) -> AsyncIterator[Database]:
    made = backend.make(backend.clock)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def clock(backend: Backend) -> Clock:
    return backend.clock


def a_file(file_id: str = "f1", user_id: str | int = "ada", **more: Any) -> dict[str, Any]:
    record = {
        "file_id": file_id,
        "user_id": user_id,
        "filename": "sales.csv",
        "file_type": "text/csv",
        "file_path": f"/data/{file_id}-sales.csv",
        "file_size": 12,
        "created_at": NOW,
        "expires_at": NOW + 48 * HOUR,
    }
    return record | more


async def ids(database: Database, user_id: str | int = "ada") -> list[str]:
    return [record["file_id"] for record in await database.get_user_files(user_id)]


class TestFiles:
    async def test_a_record_comes_back_as_it_was_saved(self, database: Database) -> None:
        saved = a_file(original_name="Umsätze 🐍.csv", store="s1", filename="Umsätze 🐍.csv")
        await database.save_user_file(saved)
        assert await database.get_user_files("ada") == [saved]
        assert await database.get_user_file("f1") == saved

    async def test_an_unknown_file_and_an_unknown_user_have_no_record(self, database: Database) -> None:
        assert await database.get_user_file("f1") is None
        assert await database.get_user_files("ada") == []

    async def test_saving_again_replaces_the_record_of_that_file_id(self, database: Database) -> None:
        await database.save_user_file(a_file(original_name="a"))
        await database.save_user_file(a_file(filename="other.csv", user_id="bob"))
        assert await database.get_user_files("ada") == []
        assert await database.get_user_files("bob") == [a_file(filename="other.csv", user_id="bob")]

    async def test_files_come_newest_first(self, database: Database) -> None:
        for number in (2, 3, 1):
            await database.save_user_file(a_file(f"f{number}", created_at=NOW + number * HOUR))
        assert await ids(database) == ["f3", "f2", "f1"]

    @pytest.mark.parametrize(("stored", "asked"), [(42, 42), (42, "42"), ("42", 42), (2**60, str(2**60))])
    async def test_a_discord_id_is_the_same_as_a_number_and_as_text(
        self, database: Database, stored: str | int, asked: str | int
    ) -> None:
        await database.save_user_file(a_file(user_id=stored))
        (record,) = await database.get_user_files(asked)
        assert record["user_id"] == str(stored)

    async def test_another_users_files_are_not_seen(self, database: Database) -> None:
        await database.save_user_file(a_file(user_id="ada"))
        assert await database.get_user_files("Ada") == []
        assert await database.get_user_files("ad") == []

    async def test_an_expired_file_is_not_listed_and_one_without_expiry_always_is(self, database: Database, clock: Clock) -> None:
        await database.save_user_file(a_file("short", expires_at=NOW + HOUR))
        await database.save_user_file(a_file("long", expires_at=NOW + 3 * HOUR))
        await database.save_user_file(a_file("forever", expires_at=None))
        clock.now = NOW + HOUR
        assert sorted(await ids(database)) == ["forever", "long"]
        clock.now = NOW + 9_000 * HOUR
        assert await ids(database) == ["forever"]
        assert await database.get_user_file("short") is not None

    async def test_expired_files_are_told_the_oldest_first_and_deleted_together(self, database: Database, clock: Clock) -> None:
        for number in (3, 1, 2):
            await database.save_user_file(a_file(f"f{number}", user_id=number, expires_at=NOW + number * HOUR))
        await database.save_user_file(a_file("forever", expires_at=None))
        clock.now = NOW + 2 * HOUR
        assert [record["file_id"] for record in await database.get_expired_files()] == ["f1", "f2"]
        assert await database.delete_expired_files() == 2
        assert await database.delete_expired_files() == 0
        assert sorted(record["file_id"] for record in await database.get_all_user_files()) == ["f3", "forever"]

    async def test_deleting_says_whether_there_was_one(self, database: Database) -> None:
        await database.save_user_file(a_file())
        assert await database.delete_user_file("f1") is True
        assert await database.delete_user_file("f1") is False

    async def test_all_records_include_the_expired_ones(self, database: Database) -> None:
        await database.save_user_file(a_file("old", expires_at=NOW - HOUR))
        await database.save_user_file(a_file("bobs", user_id="bob"))
        assert sorted(record["file_id"] for record in await database.get_all_user_files()) == ["bobs", "old"]
        assert [record["file_id"] for record in await database.get_all_user_files("ada")] == ["old"]

    async def test_totals_count_what_has_not_expired(self, database: Database) -> None:
        assert await database.get_file_totals() == {"files": 0, "size": 0, "users": 0}
        await database.save_user_file(a_file("a", file_size=2**40))
        await database.save_user_file(a_file("b", file_size=1, expires_at=None))
        await database.save_user_file(a_file("c", user_id="bob", file_size=3))
        await database.save_user_file(a_file("d", user_id="eve", expires_at=NOW - HOUR))
        assert await database.get_file_totals() == {"files": 3, "size": 2**40 + 4, "users": 2}

    async def test_the_old_names_of_fields_are_understood(self, database: Database) -> None:
        old = a_file(size=7, uploaded_at="2026-02-28T10:00:00+02:00")
        del old["file_size"], old["created_at"]
        await database.save_user_file(old)
        (record,) = await database.get_user_files("ada")
        assert (record["file_size"], record["created_at"]) == (7, datetime(2026, 2, 28, 8, tzinfo=UTC))

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (datetime(2026, 3, 5), datetime(2026, 3, 5, tzinfo=UTC)),
            (datetime(2026, 3, 5, 2, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 3, 5, tzinfo=UTC)),
            ("2026-03-05T00:00:00Z", datetime(2026, 3, 5, tzinfo=UTC)),
            (datetime(2026, 3, 5, 0, 0, 0, 123_999, tzinfo=UTC), datetime(2026, 3, 5, 0, 0, 0, 123_000, tzinfo=UTC)),
            (datetime(1969, 1, 1, tzinfo=UTC), None),
        ],
    )
    async def test_times_are_kept_in_utc_to_the_millisecond(
        self, database: Database, given: object, expected: datetime | None
    ) -> None:
        await database.save_user_file(a_file(created_at=given))
        record = await database.get_user_file("f1")
        assert record is not None
        assert record["created_at"] == (expected or given)
        assert record["created_at"].utcoffset() == timedelta(0)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"file_id": ""},
            {"file_id": "x" * 201},
            {"file_id": "a\nb"},
            {"file_id": None},
            {"user_id": True},
            {"user_id": 1.5},
            {"user_id": ""},
            {"user_id": 10**300},
            {"filename": None},
            {"filename": "\ud800"},
            {"filename": "x" * 5_000},
            {"file_size": -1},
            {"file_size": "12"},
            {"file_size": 2**63},
            {"created_at": "yesterday"},
            {"expires_at": 12},
        ],
        ids=lambda wrong: f"{next(iter(wrong))}={next(iter(wrong.values()))!r:.20}",
    )
    async def test_what_cannot_be_a_record_is_refused(self, database: Database, wrong: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            await database.save_user_file(a_file(**wrong))
        assert await database.get_all_user_files() == []

    @pytest.mark.parametrize("hostile", ["' OR 1=1 --", "$where", "a.b", "{'$gt': ''}", "%", "*", "x; DROP TABLE user_files"])
    async def test_hostile_ids_are_only_ids(self, database: Database, hostile: str) -> None:
        await database.save_user_file(a_file("kept", user_id="ada"))
        await database.save_user_file(a_file(hostile, user_id=hostile, filename=hostile))
        assert [record["filename"] for record in await database.get_user_files(hostile)] == [hostile]
        assert await database.delete_user_file(hostile) is True
        assert await ids(database) == ["kept"]


class TestConfiguration:
    @pytest.mark.parametrize(
        "value", ["a", "", 1, 2.5, True, False, [1, "b", None], {"a": {"b": [1]}}, "üñí🐍", "null"], ids=repr
    )
    async def test_a_value_comes_back_as_it_was_stored(self, database: Database, value: Any) -> None:
        await database.set_config("assistant_id", value)
        stored = await database.get_config("assistant_id")
        assert stored == value
        if not (isinstance(value, bool) and isinstance(database, MongoDatabase)):  # the server for tests gives 1 for true
            assert type(stored) is type(value)

    async def test_what_was_never_stored_is_none(self, database: Database) -> None:
        assert await database.get_config("assistant_id") is None

    async def test_storing_again_replaces(self, database: Database) -> None:
        await database.set_config("k", "old")
        await database.set_config("k", "new")
        assert await database.get_config("k") == "new"
        assert await database.delete_config("k") is True
        assert await database.delete_config("k") is False
        assert await database.get_config("k") is None

    async def test_of_two_that_store_at_once_both_get_the_same(self, backend: Backend) -> None:
        databases = [backend.make(backend.clock) for _ in range(6)]
        stored = await asyncio.gather(*(one.set_config_if_absent("k", str(n)) for n, one in enumerate(databases)))
        assert len(set(map(str, stored))) == 1
        assert await databases[0].get_config("k") == stored[0]
        await asyncio.gather(*(one.close() for one in databases))

    async def test_a_value_is_replaced_only_where_it_still_is(self, database: Database) -> None:
        assert await database.replace_config("k", "old", "new") is None
        await database.set_config("k", "old")
        assert await database.replace_config("k", "other", "new") == "old"
        assert await database.replace_config("k", "old", "new") == "new"
        assert await database.get_config("k") == "new"

    async def test_keys_are_listed_by_how_they_begin(self, database: Database) -> None:
        for key in ("place_2", "place_10", "place", "places_1", "PLACE_3", "other", "place_%", "place_ü"):
            await database.set_config(key, {"of": key})
        assert await database.list_config("place_") == {key: {"of": key} for key in ("place_%", "place_10", "place_2", "place_ü")}
        assert await database.list_config("nothing") == {}
        with pytest.raises(UsageError):
            await database.list_config("")

    @pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x", "x" * (1 << 20)], ids=lambda value: type(value).__name__)
    async def test_what_json_cannot_say_is_refused(self, database: Database, value: Any) -> None:
        with pytest.raises(UsageError):
            await database.set_config("k", value)


class TestAssistants:
    async def test_an_assistant_is_stored_replaced_and_removed(self, database: Database, clock: Clock) -> None:
        made = await database.save_assistant("a1", name="Analyst", instructions="Be exact.", model="m", options={"t": 0.2})
        assert made == await database.get_assistant("a1")
        assert (made["name"], made["model"], made["options"], made["created_at"]) == ("Analyst", "m", {"t": 0.2}, NOW)

        clock.now = NOW + HOUR
        changed = await database.save_assistant("a1", name="Analyst 2", instructions="Be brief.")
        assert changed == await database.get_assistant("a1")
        assert (changed["name"], changed["model"], changed["options"]) == ("Analyst 2", None, {})
        assert (changed["created_at"], changed["updated_at"]) == (NOW, NOW + HOUR)

        assert await database.delete_assistant("a1") is True
        assert await database.delete_assistant("a1") is False
        assert await database.get_assistant("a1") is None

    async def test_assistants_are_listed_by_name(self, database: Database) -> None:
        for name in ("b", "c", "a"):
            await database.save_assistant(f"id-{name}", name=name, instructions="")
        assert [assistant["name"] for assistant in await database.list_assistants()] == ["a", "b", "c"]

    async def test_a_user_chooses_one_and_takes_the_choice_back(self, database: Database) -> None:
        assert await database.get_user_assistant(42) is None
        await database.set_user_assistant(42, "a1")
        await database.set_user_assistant("42", "a2")
        await database.set_user_assistant("bob", "a1")
        assert await database.get_user_assistant(42) == "a2"
        await database.set_user_assistant(42, None)
        assert await database.get_user_assistant("42") is None
        assert await database.get_user_assistant("bob") == "a1"

    async def test_the_choice_of_a_removed_assistant_goes_with_it(self, database: Database) -> None:
        await database.save_assistant("a1", name="A", instructions="")
        await database.set_user_assistant("ada", "a1")
        await database.delete_assistant("a1")
        assert await database.get_user_assistant("ada") is None


class TestUsage:
    async def test_amounts_add_up_by_day_assistant_and_kind(self, database: Database, clock: Clock) -> None:
        await database.add_usage(42, {"input_tokens": 10, "cached_tokens": 4, "output_tokens": 2, "requests": 1})
        await database.add_usage("42", {"input_tokens": 5, "runs": 1, "seconds": 1.5})
        await database.add_usage(42, {"requests": 1}, assistant_id="a1", kind="title")
        clock.now = NOW + 24 * HOUR
        await database.add_usage(42, {"requests": 1})

        records = await database.get_user_token_stats(42)
        assert [(one["day"], one["assistant_id"], one["kind"]) for one in records] == [
            ("2026-03-01", "", "chat"),
            ("2026-03-01", "a1", "title"),
            ("2026-03-02", "", "chat"),
        ]
        assert records[0] == {
            "user_id": "42",
            "day": "2026-03-01",
            "assistant_id": "",
            "kind": "chat",
            "input_tokens": 15,
            "cached_tokens": 4,
            "output_tokens": 2,
            "requests": 1,
            "runs": 1,
            "seconds": 1.5,
        }
        assert [one["day"] for one in await database.get_user_token_stats(42, since=date(2026, 3, 2))] == ["2026-03-02"]

    async def test_nothing_is_lost_when_many_add_at_once(self, backend: Backend) -> None:
        databases = [backend.make(backend.clock) for _ in range(4)]
        adding = (databases[n % 4].add_usage("ada", {"input_tokens": n, "requests": 1}) for n in range(40))
        await asyncio.gather(*adding)
        (record,) = await databases[0].get_user_token_stats("ada")
        assert (record["input_tokens"], record["requests"]) == (sum(range(40)), 40)
        await asyncio.gather(*(one.close() for one in databases))

    async def test_a_reset_is_of_one_user_only(self, database: Database) -> None:
        await database.add_usage("ada", {"requests": 1})
        await database.add_usage("bob", {"requests": 1})
        assert await database.reset_user_token_stats("ada") is True
        assert await database.reset_user_token_stats("ada") is False
        assert await database.get_user_token_stats("ada") == []
        assert [record["user_id"] for record in await database.get_token_stats()] == ["bob"]

    @pytest.mark.parametrize(
        "usage", [{"tokens": 1}, {"input_tokens": -1}, {"input_tokens": 1.5}, {"seconds": float("inf")}], ids=repr
    )
    async def test_what_is_no_amount_is_refused(self, database: Database, usage: Any) -> None:
        with pytest.raises(UsageError):
            await database.add_usage("ada", usage)


class TestTheStoreOfFilesOnIt:
    async def test_adds_lists_extends_expires_and_puts_right(self, backend: Backend, tmp_path: Path) -> None:
        clock = backend.clock
        stores = Stores(tmp_path / "data", clock=cast("Any", clock), max_files=2)
        database = backend.make(clock)
        store = stores.store(database)
        removed = []
        for name in ("a", "b", "c"):
            clock.now += timedelta(seconds=1)
            removed += (await store.add(42, name, name.encode())).removed
        assert [file.filename for file in removed] == ["a"]
        assert [file.filename for file in await store.list("42")] == ["c", "b"]
        await store.extend(42, "c")
        clock.now += 50 * HOUR
        assert [file.filename for file in (await store.remove_expired())[0]] == ["b"]
        next(stores.data.files("42").glob("*-c")).unlink()
        other = stores.store(backend.make(clock))
        assert await other.list(42) == []
        assert await database.get_all_user_files() == []
        await database.close()


class TestLife:
    async def test_it_opens_itself_and_opening_again_does_nothing(self, backend: Backend) -> None:
        one = backend.make(backend.clock)
        await one.set_config("k", 1)
        await one.open()
        await one.open()
        assert await one.get_config("k") == 1
        await one.close()

    async def test_data_are_there_when_it_is_opened_again(self, backend: Backend) -> None:
        one = backend.make(backend.clock)
        await one.save_user_file(a_file())
        await one.close()
        other = backend.make(backend.clock)
        assert await ids(other) == ["f1"]
        await other.close()

    async def test_many_may_open_at_once(self, backend: Backend) -> None:
        databases = [backend.make(backend.clock) for _ in range(6)]
        await asyncio.gather(*(one.open() for one in databases))
        await asyncio.gather(*(one.save_user_file(a_file(f"f{n}")) for n, one in enumerate(databases)))
        assert len(await ids(databases[0])) == 6
        await asyncio.gather(*(one.close() for one in databases))

    async def test_once_closed_it_says_so(self, backend: Backend) -> None:
        one = backend.make(backend.clock)
        await one.open()
        await one.close()
        await one.close()
        with pytest.raises(ClosedError):
            await one.get_config("k")
        with pytest.raises(ClosedError):
            await one.open()
        with pytest.raises(ClosedError):
            await one.save_user_file(a_file())
