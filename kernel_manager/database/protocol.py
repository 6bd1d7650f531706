"""The contract of the databases: one protocol, and the records that go in and come out.

Records are plain dictionaries, as other applications write and read them. Times in them are aware, in UTC and exact to
the millisecond; what is handed in may be naive (then it is UTC) or ISO 8601 text. User ids may be given as int or str and
come back as str.

Every method may raise :class:`~kernel_manager.errors.DatabaseError` when the database cannot be reached or written, after
bounded retries, and :class:`~kernel_manager.errors.UsageError` for a value that cannot be stored. Methods may be called
from any number of tasks and processes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NotRequired, Protocol, TypedDict

#: What configuration values and the options of assistants may be: what JSON can say.
Json = None | bool | int | float | str | list[Any] | dict[str, Any]

USER_FILES = "user_files"
ASSISTANTS = "assistants"
USER_ASSISTANTS = "user_assistants"
USAGE = "usage"
#: The configuration's collection, unless MONGODB_COLLECTION_NAME names another.
CONFIGURATION = "app_config"


class FileRecord(TypedDict):
    """A file of a user, in the collection ``user_files``.

    ``file_type`` is its MIME type, ``file_path`` where its bytes are, ``file_size`` in bytes; ``expires_at`` is None for a
    file that never expires. ``original_name`` is the name as it was given, ``store`` the id of the data folder that has the
    bytes: several machines may share one database.
    """

    file_id: str
    user_id: str
    filename: str
    file_type: str
    file_path: str
    file_size: int
    created_at: datetime
    expires_at: datetime | None
    original_name: NotRequired[str]
    store: NotRequired[str]


class FileTotals(TypedDict):
    """Of the files that have not expired: how many, how many bytes, of how many users."""

    files: int
    size: int
    users: int


class AssistantRecord(TypedDict):
    """An assistant. ``options`` are whatever else it has: temperature, context size… ``created_at`` is kept on update."""

    assistant_id: str
    name: str
    instructions: str
    model: str | None
    options: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Usage(TypedDict, total=False):
    """Amounts to add; what is left out is 0. ``input_tokens`` includes ``cached_tokens``; ``seconds`` are of code running."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    requests: int
    runs: int
    seconds: float


class UsageRecord(TypedDict):
    """What one user used on one day (UTC) with one assistant and kind of request. ``day`` is ``YYYY-MM-DD``."""

    user_id: str
    day: str
    assistant_id: str
    kind: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    requests: int
    runs: int
    seconds: float


class Database(Protocol):
    """See the module. Whoever made a database closes it; used after that, it raises ClosedError."""

    @property
    def location(self) -> str:
        """Where the data are, without credentials: for the log and the status."""

    async def open(self) -> None:
        """Connect, bring the schema to the current version, and create what indexes are missing.

        May be repeated. The other methods do it, too, so that a database can be used as soon as it is made; a service opens
        it when it starts, and learns then what is wrong.
        """

    async def close(self) -> None:
        """Let go of all connections. May be repeated."""

    # --- files ----------------------------------------------------------------------------------------------------

    async def get_user_files(self, user_id: str | int) -> list[FileRecord]:
        """Return the user's files that have not expired, the newest first."""

    async def get_user_file(self, file_id: str) -> FileRecord | None:
        """Return a file's record, expired or not."""

    async def get_all_user_files(self, user_id: str | int | None = None) -> list[FileRecord]:
        """Return all records, of one user or of everybody, the expired ones too, the newest first."""

    async def get_expired_files(self) -> list[FileRecord]:
        """Return what has expired, the oldest expiry first."""

    async def save_user_file(self, record: FileRecord | Mapping[str, Any]) -> None:
        """Insert the record, or replace the one with its ``file_id``.

        ``size`` stands for ``file_size`` and ``uploaded_at`` for ``created_at`` where those are missing.
        """

    async def delete_user_file(self, file_id: str) -> bool:
        """Remove a record, not the bytes; return whether there was one."""

    async def delete_expired_files(self) -> int:
        """Remove the records of expired files, not the bytes; return how many there were."""

    async def get_file_totals(self) -> FileTotals:
        """Count the files of all users that have not expired."""

    # --- configuration: documents ``{"key": …, "value": …}`` --------------------------------------------------------

    async def get_config(self, key: str) -> Json:
        """Return a value, None if there is none. One that was inserted by hand counts."""

    async def set_config(self, key: str, value: Json) -> None:
        """Store a value in place of what was there."""

    async def set_config_if_absent(self, key: str, value: Json) -> Json:
        """Store a value unless there is one; return what is stored then. Of two callers at once, both get the same."""

    async def replace_config(self, key: str, old: Json, new: Json) -> Json:
        """Store ``new`` only where ``old`` still is; return what is stored then. For a value that has become useless."""

    async def delete_config(self, key: str) -> bool:
        """Remove a value; return whether there was one."""

    async def list_config(self, prefix: str) -> dict[str, Json]:
        """Return the values of all keys that begin with ``prefix``, by key, in the order of the keys."""

    # --- assistants -----------------------------------------------------------------------------------------------

    async def get_assistant(self, assistant_id: str) -> AssistantRecord | None:
        """Return an assistant."""

    async def list_assistants(self) -> list[AssistantRecord]:
        """Return all assistants by name."""

    async def save_assistant(
        self,
        assistant_id: str,
        *,
        name: str,
        instructions: str,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> AssistantRecord:
        """Insert an assistant or replace the one of that id; return it as it is stored."""

    async def delete_assistant(self, assistant_id: str) -> bool:
        """Remove an assistant, and the choice of those who chose it; return whether there was one."""

    async def get_user_assistant(self, user_id: str | int) -> str | None:
        """Return the id of the assistant that the user chose."""

    async def set_user_assistant(self, user_id: str | int, assistant_id: str | None) -> None:
        """Store the user's choice; None takes it back."""

    # --- usage ----------------------------------------------------------------------------------------------------

    async def add_usage(self, user_id: str | int, usage: Usage, *, assistant_id: str = "", kind: str = "chat") -> None:
        """Add to what the user used today (UTC). Atomic: nothing is lost when several add at once."""

    async def get_user_token_stats(self, user_id: str | int, since: date | None = None) -> list[UsageRecord]:
        """Return what the user used, by day, assistant and kind, from the day ``since`` on, in this order."""

    async def get_token_stats(self, since: date | None = None) -> list[UsageRecord]:
        """Return what everybody used, as above, by user first."""

    async def reset_user_token_stats(self, user_id: str | int) -> bool:
        """Forget what the user used, today's included; return whether there was anything."""
