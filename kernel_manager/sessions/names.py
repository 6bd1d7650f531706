"""Ids from outside, and the folder names they get on disk."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from kernel_manager.errors import UsageError

#: Who a session belongs to: a Discord id, or ``local``.
UserId = NewType("UserId", str)
#: One session of a user.
SessionId = NewType("SessionId", str)

MAX_ID_CHARACTERS = 200

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_-]{0,39}")
_DEVICES = frozenset({"con", "prn", "aux", "nul"} | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)})
_SLUG_CHARACTERS = 24
# Longer than any plain name, so that a hashed name can never be another id's plain one.
_HASH_CHARACTERS = 40


def folder_name(identifier: str) -> str:
    """Return the folder name of an id: safe on every file system, readable, and of that id alone.

    Ids of up to 40 characters of ``a-z 0-9 _ -`` are their own names; every other one becomes a slug and
    a hash. Names are lower case, so they stay apart where the file system ignores case.
    """
    if _PLAIN.fullmatch(identifier) and identifier not in _DEVICES:
        return identifier
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    return f"{_slug(identifier)}-{digest}"


def check_id(value: str | int, what: str) -> str:
    """Return an id as text, or raise :class:`UsageError` with a line that says what an id may be.

    ``what`` names the id in that line (``"the user id"``). Discord ids may come as int or str.
    """
    problem = _problem(value)
    if problem is not None:
        raise UsageError(f"{what} {problem}; give 1 to {MAX_ID_CHARACTERS} printable characters, such as 'local'")
    return str(value)


def _slug(identifier: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", identifier[:200].lower())
    return words.strip("-")[:_SLUG_CHARACTERS].rstrip("-") or "id"


def _problem(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return f"is a {type(value).__name__}, neither text nor a number"
    # Python refuses to write out very long integers.
    if isinstance(value, int):
        return "is too long" if abs(value) >= 10 ** (MAX_ID_CHARACTERS - 1) else None
    if len(value) > MAX_ID_CHARACTERS:
        return f"has {len(value)} characters"
    if not value.strip():
        return "is empty"
    strange = next((character for character in value if not character.isprintable()), None)
    return None if strange is None else f"holds a character that cannot be printed (U+{ord(strange):04X})"
