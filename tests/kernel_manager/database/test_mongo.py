"""What is MongoDB's own: a connection that is lost, documents of others, indexes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from kernel_manager.database import retrying
from kernel_manager.database.mongo import SCHEMA_VERSION, MongoDatabase
from kernel_manager.database.opening import database_at
from kernel_manager.database.retrying import WAITS_S, retried
from kernel_manager.errors import DatabaseError
from tests.mongo_server import free_port, mongo_server

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[Any]:
    """A database as another application has it open."""
    with mongo_server(tmp_path / "mongo") as uri:
        async with AsyncMongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5_000) as client:
            yield client["theirs"]


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "WAITS_S", (0.01, 0.01, 0.01))


class TestRetries:
    async def run(self, failures: list[Exception], *, transient: type[Exception] = AutoReconnect) -> tuple[str, list[float]]:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        async def work() -> str:
            if failures:
                raise failures.pop(0)
            return "done"

        return await retried(work, lambda exc: isinstance(exc, transient), sleep), waits

    async def test_a_lost_connection_is_tried_again_after_growing_waits(self) -> None:
        assert await self.run([AutoReconnect(), AutoReconnect()]) == ("done", list(WAITS_S[:2]))

    async def test_there_is_an_end(self) -> None:
        failures: list[Exception] = [AutoReconnect() for _ in range(10)]
        with pytest.raises(AutoReconnect):
            await self.run(failures)
        assert len(failures) == 10 - len(WAITS_S) - 1

    async def test_other_failures_are_not_tried_again(self) -> None:
        failures: list[Exception] = [OperationFailure("no"), AutoReconnect()]
        with pytest.raises(OperationFailure):
            await self.run(failures)
        assert len(failures) == 1


@pytest.mark.usefixtures("no_waits")
class TestLostConnection:
    async def test_a_server_that_is_not_there_gets_a_line_that_names_the_setting_and_no_password(self) -> None:
        uri = f"mongodb://ada:secret@127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=50"
        database = database_at(uri)
        with pytest.raises(DatabaseError, match="cannot be reached; start it, or correct MONGODB_URI or DATABASE_URL") as caught:
            await database.get_config("k")
        assert "secret" not in str(caught.value)
        assert "ada" not in str(caught.value)
        await database.close()

    async def test_a_server_that_was_restarted_is_found_again_with_all_records(self, tmp_path: Path) -> None:
        port = free_port()
        database = database_at(f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=1500")
        with mongo_server(tmp_path / "mongo", port):
            await database.save_user_file({"file_id": "f", "user_id": "ada", "filename": "a"})
        with mongo_server(tmp_path / "mongo", port):
            (record,) = await database.get_user_files("ada")
            assert record["filename"] == "a"
        await database.close()


class TestDocumentsOfOthers:
    async def test_files_with_other_names_and_types_of_fields_are_read(self, documents: Any) -> None:
        await documents.user_files.insert_many(
            [
                {"file_id": "a", "user_id": 42, "filename": "a", "size": 5, "uploaded_at": NOW, "expires_at": None},
                {"file_id": "b", "user_id": "42", "filename": "b", "file_size": 6.0, "uploaded_at": NOW.isoformat()},
                {"file_id": "c", "user_id": 42, "filename": "c", "expires_at": "2020-01-01T00:00:00"},
                {"file_id": "d", "user_id": 42},
                {"note": "no file at all"},
            ]
        )
        database = MongoDatabase(documents, "mongodb://test")
        files = {record["file_id"]: record for record in await database.get_user_files(42)}
        assert {key: (file["file_size"], file["created_at"]) for key, file in files.items()} == {"a": (5, NOW), "b": (6, NOW)}
        assert [record["file_id"] for record in await database.get_expired_files()] == ["c"]
        assert await database.delete_expired_files() == 1

    async def test_a_configuration_that_was_inserted_by_hand_counts_the_last_one_of_several(
        self, documents: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        await documents.app_config.insert_many([{"key": "assistant_id", "value": value} for value in ("old", "new")])
        database = MongoDatabase(documents, "mongodb://test")
        with caplog.at_level(logging.WARNING):
            assert await database.get_config("assistant_id") == "new"
        assert await database.set_config_if_absent("assistant_id", "mine") == "new"
        assert "the index on key of app_config cannot be made" in caplog.text

    async def test_the_configuration_is_in_the_collection_that_the_operator_named(self, documents: Any) -> None:
        database = MongoDatabase(documents, "mongodb://test", configuration="elsewhere")
        await database.set_config("assistant_id", "a1")
        stored = await documents.elsewhere.find_one({"key": "assistant_id"})
        assert stored["value"] == "a1"

    async def test_a_newer_threadbooks_database_is_refused(self, documents: Any) -> None:
        await documents.app_config.insert_one({"key": "schema_version", "value": SCHEMA_VERSION + 1})
        with pytest.raises(DatabaseError, match="use the newer Threadbook"):
            await MongoDatabase(documents, "mongodb://test").open()


async def test_the_documented_indexes_are_there(documents: Any) -> None:
    await MongoDatabase(documents, "mongodb://test").open()
    indexes = (await documents.user_files.index_information()).values()
    keys = {(tuple(name for name, _ in index["key"]), index.get("unique", False)) for index in indexes}
    assert {(("user_id", "expires_at"), False), (("file_id",), True), (("expires_at",), False)} <= keys
