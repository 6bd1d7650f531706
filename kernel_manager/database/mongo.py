"""MongoDB, through pymongo's asynchronous client or a database object of Motor, which has the same calls.

Only what every server of the wire protocol does alike is used: plain filters, ``$set``, ``$inc``, upserts and unique
indexes. Updates that add are not repeated after a lost connection, since nobody knows whether they arrived.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError

from kernel_manager.database import protocol, records
from kernel_manager.database.protocol import AssistantRecord, FileRecord, FileTotals, Json, Usage, UsageRecord
from kernel_manager.database.retrying import retried
from kernel_manager.errors import ClosedError, DatabaseError

logger = logging.getLogger(__name__)

T = TypeVar("T")
Document = dict[str, Any]

#: Codes of errors that say that the user or the password is wrong.
_REFUSED = frozenset({13, 18})
#: The connection was lost; or two upserted one document at once, and the next attempt finds what the other inserted.
_TRANSIENT = (ConnectionFailure, DuplicateKeyError)
_NEWEST_FIRST = [("_id", -1)]
_SCHEMA_KEY = "schema_version"
#: Raised when documents of the current form cannot be read by an older Threadbook.
SCHEMA_VERSION = 1


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MongoDatabase:
    """See :class:`~kernel_manager.database.protocol.Database`.

    ``database`` is an ``AsyncDatabase`` of pymongo or an ``AsyncIOMotorDatabase``. ``location`` is shown in the log and the
    status and names no credentials. ``prefix`` begins the name of every collection, for a database that others use as well.
    ``close`` closes the connection; without it, the connection is the caller's.
    """

    def __init__(
        self,
        database: Any,
        location: str,
        *,
        configuration: str = protocol.CONFIGURATION,
        prefix: str = "",
        close: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._database = database
        self._location = location
        self._close = close
        self._clock = clock
        self._files = database[f"{prefix}{protocol.USER_FILES}"]
        self._configuration = database[f"{prefix}{configuration}"]
        self._assistants = database[f"{prefix}{protocol.ASSISTANTS}"]
        self._choices = database[f"{prefix}{protocol.USER_ASSISTANTS}"]
        self._usage = database[f"{prefix}{protocol.USAGE}"]
        self._opening = asyncio.Lock()
        self._opened = False
        self._closed = False

    @property
    def location(self) -> str:
        """See the protocol."""
        return self._location

    async def open(self) -> None:
        """See the protocol."""
        self._check_open()
        async with self._opening:
            if not self._opened:
                await self._ask(lambda: self._database.command("ping"))
                await self._create_indexes()
                await self._check_version()
                self._opened = True

    async def close(self) -> None:
        """See the protocol."""
        if not self._closed:
            self._closed = True
            if self._close is not None:
                await self._close()

    async def _check_version(self) -> None:
        await self._insert_new(self._configuration, {"key": _SCHEMA_KEY, "value": SCHEMA_VERSION})
        found = await self._ask(lambda: self._configuration.find_one({"key": _SCHEMA_KEY}))
        stored = (found or {}).get("value")
        if isinstance(stored, int) and stored > SCHEMA_VERSION:
            raise DatabaseError(
                f"the database {self._location} has version {stored}, and this Threadbook knows {SCHEMA_VERSION}; "
                "use the newer Threadbook, or set MONGODB_DATABASE_NAME to another one"
            )

    async def _create_indexes(self) -> None:
        await self._index(self._files, [("user_id", 1), ("expires_at", -1)])
        await self._index(self._files, [("file_id", 1)], unique=True)
        await self._index(self._files, [("expires_at", 1)])
        await self._index(self._configuration, [("key", 1)], unique=True)
        await self._index(self._assistants, [("assistant_id", 1)], unique=True)
        await self._index(self._choices, [("user_id", 1)], unique=True)
        await self._index(self._usage, [("user_id", 1), ("day", 1), ("assistant_id", 1), ("kind", 1)], unique=True)

    async def _index(self, collection: Any, keys: list[tuple[str, int]], *, unique: bool = False) -> None:
        async def create() -> None:
            try:
                await collection.create_index(keys, **({"unique": True} if unique else {}))
            except OperationFailure as exc:
                if exc.code in _REFUSED:
                    raise
                # duplicates that were there before, or an index of another definition: no reason not to start
                names = ", ".join(name for name, _ in keys)
                logger.warning("the index on %s of %s cannot be made; what is there is used: %s", names, collection.name, exc)

        await self._ask(create)

    # --- files ----------------------------------------------------------------------------------------------------

    async def get_user_files(self, user_id: str | int) -> list[FileRecord]:
        """See the protocol."""
        now = self._now()
        return [record for record in await self.get_all_user_files(user_id) if not records.is_expired(record, now)]

    async def get_user_file(self, file_id: str) -> FileRecord | None:
        """See the protocol."""
        found = await self._find_files({"file_id": records.file_key(file_id)})
        return found[0] if found else None

    async def get_all_user_files(self, user_id: str | int | None = None) -> list[FileRecord]:
        """See the protocol."""
        whose = {} if user_id is None else {"user_id": {"$in": records.user_id_forms(user_id)}}
        return records.newest_first(await self._find_files(whose))

    async def get_expired_files(self) -> list[FileRecord]:
        """See the protocol."""
        now = self._now()
        # others may have written text, which no server compares with a time
        found = await self._find_files({"$or": [{"expires_at": {"$lte": now}}, {"expires_at": {"$type": "string"}}]})
        expired = [record for record in found if records.is_expired(record, now)]
        return sorted(expired, key=lambda record: (record["expires_at"] or now, record["file_id"]))

    async def save_user_file(self, record: FileRecord | Mapping[str, Any]) -> None:
        """See the protocol."""
        new = dict(records.new_file_record(record, self._clock()))
        await self._do(lambda: self._files.replace_one({"file_id": new["file_id"]}, dict(new), upsert=True))

    async def delete_user_file(self, file_id: str) -> bool:
        """See the protocol."""
        return await self._delete(self._files, {"file_id": records.file_key(file_id)})

    async def delete_expired_files(self) -> int:
        """See the protocol."""
        return sum([await self.delete_user_file(record["file_id"]) for record in await self.get_expired_files()])

    async def get_file_totals(self) -> FileTotals:
        """See the protocol."""
        now = self._now()
        kept = [record for record in await self._find_files({}) if not records.is_expired(record, now)]
        size = sum(record["file_size"] for record in kept)
        return FileTotals(files=len(kept), size=size, users=len({record["user_id"] for record in kept}))

    async def _find_files(self, wanted: Document) -> list[FileRecord]:
        documents = await self._find(self._files, wanted)
        now = self._now()
        return [record for document in documents if (record := records.stored_file_record(document, now)) is not None]

    # --- configuration --------------------------------------------------------------------------------------------

    async def get_config(self, key: str) -> Json:
        """See the protocol."""
        found = await self._find(self._configuration, {"key": records.config_key(key)}, newest_only=True)
        return _plain(found[0].get("value")) if found else None

    async def set_config(self, key: str, value: Json) -> None:
        """See the protocol."""
        wanted, kept = {"key": records.config_key(key)}, records.storable(value)
        await self._do(lambda: self._configuration.update_one(wanted, {"$set": {"value": kept}}, upsert=True))

    async def set_config_if_absent(self, key: str, value: Json) -> Json:
        """See the protocol."""
        new = {"key": records.config_key(key), "value": records.storable(value)}
        if not await self._find(self._configuration, {"key": new["key"]}, newest_only=True):
            await self._insert_new(self._configuration, new)
        return await self.get_config(key)

    async def replace_config(self, key: str, old: Json, new: Json) -> Json:
        """See the protocol."""
        wanted = {"key": records.config_key(key), "value": {"$eq": records.storable(old)}}
        kept = records.storable(new)
        await self._do(lambda: self._configuration.update_one(wanted, {"$set": {"value": kept}}))
        return await self.get_config(key)

    async def delete_config(self, key: str) -> bool:
        """See the protocol."""
        return await self._delete(self._configuration, {"key": records.config_key(key)})

    async def list_config(self, prefix: str) -> dict[str, Json]:
        """See the protocol."""
        first, beyond = records.keys_from(prefix)
        found = await self._find(self._configuration, {"key": {"$gte": first, "$lt": beyond}})
        values = {str(document["key"]): _plain(document.get("value")) for document in found}
        return dict(sorted(values.items()))

    # --- assistants -----------------------------------------------------------------------------------------------

    async def get_assistant(self, assistant_id: str) -> AssistantRecord | None:
        """See the protocol."""
        found = await self._find(self._assistants, {"assistant_id": records.assistant_key(assistant_id)}, newest_only=True)
        return _assistant(found[0]) if found else None

    async def list_assistants(self) -> list[AssistantRecord]:
        """See the protocol."""
        found = [_assistant(document) for document in await self._find(self._assistants, {})]
        return sorted(found, key=lambda assistant: (assistant["name"], assistant["assistant_id"]))

    async def save_assistant(
        self,
        assistant_id: str,
        *,
        name: str,
        instructions: str,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> AssistantRecord:
        """See the protocol."""
        new = dict(records.new_assistant(assistant_id, name, instructions, model, options, self._clock()))
        wanted = {"assistant_id": new["assistant_id"]}
        if not await self._find(self._assistants, wanted, newest_only=True) and await self._insert_new(self._assistants, new):
            return _assistant(new)
        del new["created_at"]
        await self._do(lambda: self._assistants.update_one(wanted, {"$set": new}, upsert=True))
        stored = await self.get_assistant(assistant_id)
        return stored if stored is not None else _assistant(new)

    async def delete_assistant(self, assistant_id: str) -> bool:
        """See the protocol."""
        wanted = {"assistant_id": records.assistant_key(assistant_id)}
        await self._delete(self._choices, wanted)
        return await self._delete(self._assistants, wanted)

    async def get_user_assistant(self, user_id: str | int) -> str | None:
        """See the protocol."""
        found = await self._find(self._choices, {"user_id": records.user_key(user_id)}, newest_only=True)
        return str(found[0].get("assistant_id")) if found else None

    async def set_user_assistant(self, user_id: str | int, assistant_id: str | None) -> None:
        """See the protocol."""
        wanted = {"user_id": records.user_key(user_id)}
        if assistant_id is None:
            await self._delete(self._choices, wanted)
        else:
            chosen = {"assistant_id": records.assistant_key(assistant_id)}
            await self._do(lambda: self._choices.update_one(wanted, {"$set": chosen}, upsert=True))

    # --- usage ----------------------------------------------------------------------------------------------------

    async def add_usage(self, user_id: str | int, usage: Usage, *, assistant_id: str = "", kind: str = "chat") -> None:
        """See the protocol."""
        amounts = records.amounts_of(usage)
        wanted = {
            "user_id": records.user_key(user_id),
            "day": records.day_of(self._clock()),
            "assistant_id": records.assistant_key(assistant_id) if assistant_id else "",
            "kind": records.usage_kind(kind),
        }
        # two that begin a day at once: the second finds the first one's document, and then it is there to be added to
        await self._do(lambda: self._usage.update_one(wanted, {"$setOnInsert": {"seconds": 0.0}}, upsert=True))
        await self._do(lambda: self._usage.update_one(wanted, {"$inc": amounts}), again_after=())

    async def get_user_token_stats(self, user_id: str | int, since: date | None = None) -> list[UsageRecord]:
        """See the protocol."""
        return await self._find_usage({"user_id": records.user_key(user_id), "day": {"$gte": records.first_day(since)}})

    async def get_token_stats(self, since: date | None = None) -> list[UsageRecord]:
        """See the protocol."""
        return await self._find_usage({"day": {"$gte": records.first_day(since)}})

    async def reset_user_token_stats(self, user_id: str | int) -> bool:
        """See the protocol."""
        return await self._delete(self._usage, {"user_id": records.user_key(user_id)})

    async def _find_usage(self, wanted: Document) -> list[UsageRecord]:
        found = [records.usage_record(document) for document in await self._find(self._usage, wanted)]
        return sorted(found, key=records.usage_order)

    # --- how ------------------------------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return records.timestamp(self._clock())

    async def _find(self, collection: Any, wanted: Document, *, newest_only: bool = False) -> list[Document]:
        def find() -> Awaitable[list[Document]]:
            cursor = collection.find(wanted)
            listed: Awaitable[list[Document]] = (
                cursor.sort(_NEWEST_FIRST).limit(1).to_list(1) if newest_only else cursor.to_list(None)
            )
            return listed

        return await self._do(find)

    async def _delete(self, collection: Any, wanted: Document) -> bool:
        return (await self._do(lambda: collection.delete_many(wanted))).deleted_count > 0  # type: ignore[no-any-return]

    async def _insert_new(self, collection: Any, document: Document) -> bool:
        """Insert unless a unique index finds that it is there; return whether it was inserted."""
        try:
            await self._ask(lambda: collection.insert_one(dict(document)), again_after=(ConnectionFailure,))
        except DuplicateKeyError:
            return False
        return True

    async def _do(self, work: Callable[[], Awaitable[T]], *, again_after: tuple[type[Exception], ...] = _TRANSIENT) -> T:
        if not self._opened:
            await self.open()
        return await self._ask(work, again_after=again_after)

    async def _ask(self, work: Callable[[], Awaitable[T]], *, again_after: tuple[type[Exception], ...] = _TRANSIENT) -> T:
        self._check_open()
        try:
            return await retried(work, lambda exc: isinstance(exc, again_after))
        except DuplicateKeyError:
            raise
        except PyMongoError as exc:
            raise DatabaseError(f"the database {self._location} {_explained(exc)}") from exc

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the database was closed; open it again")


def _explained(exc: PyMongoError) -> str:
    if isinstance(exc, ConnectionFailure):
        return "cannot be reached; start it, or correct MONGODB_URI or DATABASE_URL"
    if isinstance(exc, OperationFailure) and exc.code in _REFUSED:
        return "refuses the user or the password; correct MONGODB_URI or DATABASE_URL"
    return f"failed ({type(exc).__name__}); see its own log, or correct MONGODB_URI or DATABASE_URL"


def _plain(value: Any) -> Json:
    """Return a value as JSON has it; one that was inserted by hand may be more."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _assistant(document: Mapping[str, Any]) -> AssistantRecord:
    created = document.get("created_at") or document["updated_at"]
    options = _plain(document.get("options"))
    return AssistantRecord(
        assistant_id=str(document["assistant_id"]),
        name=str(document["name"]),
        instructions=str(document["instructions"]),
        model=None if document.get("model") is None else str(document["model"]),
        options=options if isinstance(options, dict) else {},
        created_at=records.timestamp(created),
        updated_at=records.timestamp(document["updated_at"]),
    )
