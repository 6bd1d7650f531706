"""Names of files that come from outside, made safe. Pure."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

#: Bytes of a safe name in UTF-8. With the ``file_id`` in front of it, it stays within a file system's 255.
MAX_NAME_BYTES = 200
MAX_ORIGINAL_NAME = 1024

_MAX_SUFFIX_BYTES = 32
_MAX_LENGTH = 4096
_SEPARATORS = re.compile(r'[/\\:*?"<>|]')
# Marks that turn the direction of writing: with them "exe.csv" can be shown as something else.
_DIRECTION_MARKS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE)


def safe_filename(name: str) -> str:
    """The nearest name that is safe as a file's name on every platform, in a shell and on a screen.

    Unicode is kept, in form NFC. Path separators and what else Windows forbids become ``_``; control characters,
    direction marks, leading dots and dashes go; device names get a ``_``; at most :data:`MAX_NAME_BYTES` bytes, the
    extension kept. Never empty, and a safe name stays as it is.
    """
    # no name is so long, and what follows takes its time: the extension is at the end
    text = unicodedata.normalize(
        "NFC", name if len(name) <= _MAX_LENGTH else name[: _MAX_LENGTH // 2] + name[-_MAX_LENGTH // 2 :]
    )
    text = _SEPARATORS.sub("_", _DIRECTION_MARKS.sub("", text))
    text = "".join(" " if character.isspace() else character for character in text if not _is_control(character))
    text = unicodedata.normalize("NFC", " ".join(text.split()).lstrip(".- ").rstrip(". "))
    if _RESERVED.fullmatch(text):
        text = f"_{text}"
    return _shorten(text) or "file"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") and not character.isspace()


def _shorten(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    suffix = "".join(PurePath(name).suffixes[-2:])
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        suffix = PurePath(name).suffix
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        suffix = ""
    room = MAX_NAME_BYTES - len(suffix.encode())
    return name.removesuffix(suffix).encode()[:room].decode(errors="ignore").rstrip(". ") + suffix


def displayable(name: str) -> str:
    """``name`` without what is no character: a name that is not UTF-8 on disk arrives with lone surrogates."""
    return name[:MAX_ORIGINAL_NAME].replace("\0", "?").encode(errors="replace").decode()
