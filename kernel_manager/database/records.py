"""What is handed in and what lies in the database, brought into the one form of the protocol. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from kernel_manager.database.protocol import AssistantRecord, FileRecord, Json, Usage, UsageRecord
from kernel_manager.errors import UsageError

MAX_ID_CHARACTERS = 200
MAX_NAME_CHARACTERS = 4_096
#: Of a configuration value, an assistant's instructions and its options each, in bytes of JSON.
MAX_VALUE_BYTES = 1 << 20
#: The largest amount that both databases count exactly.
MAX_AMOUNT = 2**53

AMOUNTS = ("input_tokens", "cached_tokens", "output_tokens", "requests", "runs", "seconds")

_DEFAULT_TYPE = "application/octet-stream"


def user_key(user_id: str | int) -> str:
    """Return a user id as text. Raises UsageError."""
    if isinstance(user_id, bool) or not isinstance(user_id, str | int):
        raise UsageError(f"a user id is text or a number, not a {type(user_id).__name__}; give 'local' or a Discord id")
    if isinstance(user_id, int) and abs(user_id) >= 10 ** (MAX_ID_CHARACTERS - 1):
        raise UsageError("the user id is too long; give a Discord id or a name")
    return _identifier(str(user_id), "the user id")


def user_id_forms(user_id: str | int) -> list[str | int]:
    """Return the forms in which other applications may have stored a user's id: text, and a number of up to 64 bits."""
    key = user_key(user_id)
    number = int(key) if key.isascii() and key.isdigit() and len(key) < 20 else 2**63
    return [key, number] if number < 2**63 and str(number) == key else [key]


def file_key(file_id: object) -> str:
    """Return a file id that can be stored. Raises UsageError."""
    return _identifier(file_id, "the file_id")


def assistant_key(assistant_id: object) -> str:
    """Return an assistant's id that can be stored. Raises UsageError."""
    return _identifier(assistant_id, "the assistant_id")


def config_key(key: object) -> str:
    """Return a configuration key that can be stored. Raises UsageError."""
    return _identifier(key, "the configuration key")


def keys_from(prefix: object) -> tuple[str, str]:
    """Return the first key that begins with ``prefix``, and what all of them come before. Raises UsageError."""
    first = config_key(prefix)
    return first, first + "\U0010ffff"


def storable(value: Json, what: str = "the value") -> Json:
    """Return a value as JSON keeps it. Raises UsageError if JSON cannot say it, or for more than MAX_VALUE_BYTES."""
    return json.loads(as_json(value, what))  # type: ignore[no-any-return]


def as_json(value: Json, what: str = "the value") -> str:
    """Return a value as JSON text. Raises UsageError as :func:`storable` does."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as exc:
        raise UsageError(f"{what} cannot be stored as JSON ({exc}); use text, numbers, lists and dictionaries") from exc
    if size > MAX_VALUE_BYTES:
        raise UsageError(f"{what} has {size:,} bytes as JSON; at most {MAX_VALUE_BYTES:,} can be stored")
    return text


def timestamp(value: object, what: str = "a time") -> datetime:
    """Return a time in UTC, to the millisecond. Naive ones are taken for UTC. Raises UsageError."""
    if isinstance(value, str):
        value = _parsed(value, what)
    if not isinstance(value, datetime):
        raise UsageError(f"{what} is a {type(value).__name__}, which is no time; give a datetime or ISO 8601 text")
    try:
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as exc:
        raise UsageError(f"{what} lies outside the calendar; give a time between the years 1 and 9999") from exc
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _parsed(text: str, what: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"{what} is {text[:80]!r}, which is no time; give a datetime or ISO 8601 text") from exc


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970, exactly."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """The time in UTC that is so many milliseconds after 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def new_file_record(values: Mapping[str, Any], now: datetime) -> FileRecord:
    """Return a record to store; what is left out and can be known is filled in. Raises UsageError."""
    if not isinstance(values, Mapping):
        raise UsageError(f"a file's record is a dictionary, not a {type(values).__name__}")
    for name in ("file_id", "user_id", "filename"):
        if values.get(name) in (None, ""):
            raise UsageError(f"the file's record has no {name}; add it")
    size = values.get("file_size", values.get("size", 0))
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 2**63:
        raise UsageError(f"file_size is {size!r}; give the number of bytes")
    created = values.get("created_at") or values.get("uploaded_at") or now
    expires = values.get("expires_at")
    record = FileRecord(
        file_id=file_key(values["file_id"]),
        user_id=user_key(values["user_id"]),
        filename=_text(values["filename"], "filename"),
        file_type=_text(values.get("file_type") or _DEFAULT_TYPE, "file_type"),
        file_path=_text(str(values.get("file_path") or ""), "file_path"),
        file_size=size,
        created_at=timestamp(created, "created_at"),
        expires_at=None if expires is None else timestamp(expires, "expires_at"),
    )
    if values.get("original_name"):
        record["original_name"] = _text(values["original_name"], "original_name")
    if values.get("store"):
        record["store"] = _identifier(values["store"], "the store's id")
    return record


def stored_file_record(document: Mapping[str, Any], now: datetime) -> FileRecord | None:
    """Return what a stored document says, whoever wrote it; None if it is no record of a file."""
    try:
        values = {name: str(document[name]) for name in ("file_id", "filename") if document.get(name) is not None}
        return new_file_record({**document, **values, "file_size": _stored_size(document)}, now)
    except UsageError:
        return None


def is_expired(record: FileRecord, now: datetime) -> bool:
    """Whether a file has expired."""
    return record["expires_at"] is not None and record["expires_at"] <= now


def newest_first(records: list[FileRecord]) -> list[FileRecord]:
    """Return the records by age; the id makes the order the same every time."""
    return sorted(records, key=lambda record: (record["created_at"], record["file_id"]), reverse=True)


def new_assistant(
    assistant_id: str, name: str, instructions: str, model: str | None, options: Mapping[str, Any] | None, now: datetime
) -> AssistantRecord:
    """Return an assistant's record to store, created now. Raises UsageError."""
    kept = storable(dict(options or {}), "the assistant's options")
    assert isinstance(kept, dict)
    moment = timestamp(now)
    as_json(instructions, "the assistant's instructions")
    return AssistantRecord(
        assistant_id=assistant_key(assistant_id),
        name=_text(name, "the assistant's name"),
        instructions=instructions,
        model=None if model is None else _text(model, "the assistant's model"),
        options=kept,
        created_at=moment,
        updated_at=moment,
    )


def amounts_of(usage: Usage) -> dict[str, int | float]:
    """Return every amount, 0 where none is given. Raises UsageError."""
    if unknown := set(usage) - set(AMOUNTS):
        raise UsageError(f"usage has no {', '.join(sorted(map(str, unknown)))}; it has {', '.join(AMOUNTS)}")
    return {name: _amount(name, usage.get(name, 0)) for name in AMOUNTS}


def usage_record(document: Mapping[str, Any]) -> UsageRecord:
    """Return a stored document as a record; amounts that it does not have are 0."""
    return UsageRecord(
        user_id=str(document["user_id"]),
        day=str(document["day"]),
        assistant_id=str(document.get("assistant_id") or ""),
        kind=str(document.get("kind") or ""),
        input_tokens=int(document.get("input_tokens") or 0),
        cached_tokens=int(document.get("cached_tokens") or 0),
        output_tokens=int(document.get("output_tokens") or 0),
        requests=int(document.get("requests") or 0),
        runs=int(document.get("runs") or 0),
        seconds=float(document.get("seconds") or 0.0),
    )


def usage_order(record: UsageRecord) -> tuple[str, str, str, str]:
    """What records of usage are sorted by."""
    return record["user_id"], record["day"], record["assistant_id"], record["kind"]


def usage_kind(kind: str) -> str:
    """Return the kind of a request. Raises UsageError."""
    return _identifier(kind, "the kind of request")


def first_day(since: date | None) -> str:
    """Return the first day that counts, as it is stored."""
    return "" if since is None else since.strftime("%Y-%m-%d") if not isinstance(since, datetime) else day_of(since)


def day_of(moment: datetime) -> str:
    """Return the day (UTC) of a time, as it is stored."""
    return timestamp(moment).strftime("%Y-%m-%d")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _identifier(value: object, what: str) -> str:
    text = _text(value, what)
    if not text.strip() or len(text) > MAX_ID_CHARACTERS or not text.isprintable():
        raise UsageError(f"{what} is not 1 to {MAX_ID_CHARACTERS} printable characters; give one that is")
    return text


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{what} is a {type(value).__name__}, not text")
    if len(value) > MAX_NAME_CHARACTERS or "\0" in value:
        raise UsageError(f"{what} is longer than {MAX_NAME_CHARACTERS} characters or has a zero in it; give another")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise UsageError(f"{what} holds something that is no character; give it in valid Unicode") from exc
    return value


def _stored_size(document: Mapping[str, Any]) -> int:
    size = document.get("file_size", document.get("size", 0))
    return int(size) if isinstance(size, int | float) and math.isfinite(size) else 0


def _amount(name: str, value: object) -> int | float:
    wanted = int | float if name == "seconds" else int
    if isinstance(value, bool) or not isinstance(value, wanted) or not 0 <= value <= MAX_AMOUNT:
        raise UsageError(f"{name} is {value!r}; give a number between 0 and {MAX_AMOUNT}")
    return float(value) if name == "seconds" else value
