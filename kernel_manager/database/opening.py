"""From the settings, or a URI, to a database. The driver of MongoDB is imported only if it is needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from kernel_manager.config import Settings
from kernel_manager.database.protocol import CONFIGURATION, Database
from kernel_manager.database.sqlite import SqliteDatabase
from kernel_manager.errors import SettingsError, UsageError

SQLITE_FILE = "threadbook.sqlite3"
DEFAULT_NAME = "code-interpreter-db"

_SQLITE = "sqlite:///"
_MONGODB = ("mongodb://", "mongodb+srv://")
#: For whatever the URI does not say itself. In milliseconds; a lost connection is noticed within these.
_PATIENCE = {"serverSelectionTimeoutMS": 3_000, "connectTimeoutMS": 5_000, "socketTimeoutMS": 20_000}

Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def database_of(settings: Settings, clock: Clock = _utc_now) -> Database:
    """Return the database that the settings name; it connects when it is first used. Raises SettingsError."""
    chosen = settings.mongodb_uri or settings.database_url
    if chosen is None:
        return SqliteDatabase(settings.data_dir / SQLITE_FILE, clock)
    named = settings.mongodb_database_name if "mongodb_database_name" in settings.model_fields_set else None
    return database_at(
        chosen.get_secret_value(),
        database_name=named,
        configuration=settings.mongodb_collection_name,
        prefix=settings.mongodb_collection_prefix or "",
        clock=clock,
    )


def database_at(
    uri: str,
    *,
    database_name: str | None = None,
    configuration: str = CONFIGURATION,
    prefix: str = "",
    clock: Clock = _utc_now,
) -> Database:
    """Return the database of a URI: ``sqlite:///relative``, ``sqlite:////absolute``, ``mongodb://…``, ``mongodb+srv://…``.

    ``database_name`` comes before the one in a MongoDB URI; ``prefix`` begins the names of MongoDB's collections. Raises
    SettingsError.
    """
    if uri.startswith(_SQLITE):
        return SqliteDatabase(_sqlite_path(uri), clock)
    if uri.startswith(_MONGODB):
        return _mongodb(uri, database_name, configuration, prefix, clock)
    raise SettingsError("DATABASE_URL begins with neither sqlite:/// nor mongodb://; correct it")


#: The name by which bots know it.
DatabaseHandler = database_at


def adopted(database: Any, clock: Clock = _utc_now, *, prefix: str = "") -> Database:
    """Return a database that an application hands in: one of ours, or an object of pymongo's asynchronous client or Motor.

    In the latter, ``prefix`` begins the names of collections. It stays the application's to close. Raises UsageError for
    anything else.
    """
    # asked of the class: the drivers' objects take any other attribute for the name of a collection
    kind = type(database)
    if hasattr(kind, "save_user_file"):
        return cast("Database", database)
    if not hasattr(kind, "list_collection_names"):
        raise UsageError(f"a {kind.__name__} is no database; hand in one of Threadbook, of AsyncMongoClient or of Motor")

    from kernel_manager.database.mongo import MongoDatabase

    return MongoDatabase(database, f"mongodb:///{database.name}", prefix=prefix, clock=clock)


def redacted(uri: str) -> str:
    """Return a URI without the user, the password and the options, fit for a log."""
    scheme, _, rest = uri.partition("://")
    before_options, _, options = rest.partition("?")
    # a password whose owner forgot to escape it may hold anything: where that could be so, nothing is shown
    return f"{scheme}://{'…' if '@' in options else before_options.rpartition('@')[2]}"


def _sqlite_path(uri: str) -> Path:
    name = unquote(uri.removeprefix(_SQLITE).partition("?")[0])
    if not name or "\0" in name or name == ":memory:":
        raise SettingsError("DATABASE_URL names no file; give sqlite:////absolute/path or sqlite:///relative/path")
    return Path(name).expanduser().absolute()


def _mongodb(uri: str, name: str | None, configuration: str, prefix: str, clock: Clock) -> Database:
    from pymongo import AsyncMongoClient
    from pymongo.errors import PyMongoError

    from kernel_manager.database.mongo import MongoDatabase

    given = uri.partition("?")[2].lower()
    options: dict[str, Any] = {option: value for option, value in _PATIENCE.items() if f"{option.lower()}=" not in given}
    try:
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(uri, tz_aware=True, appname="threadbook", **options)
        database = client[name] if name else client.get_default_database(DEFAULT_NAME)
        return MongoDatabase(database, redacted(uri), configuration=configuration, prefix=prefix, close=client.close, clock=clock)
    except (PyMongoError, ValueError, TypeError) as exc:
        # the driver's own words may quote the password
        raise SettingsError(
            f"MONGODB_URI or DATABASE_URL ({redacted(uri)}) is no valid URI of MongoDB ({type(exc).__name__}); correct it"
        ) from None
