"""Whether bytes are text, and in which encoding."""

from __future__ import annotations

import codecs

from .charsets import guess

# UTF-32 comes first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\b\x1b")) + b"\x7f"

_SINGLE_BYTE = ("cp1252", "latin-1")


def detect(sample: bytes, *, whole: bool) -> str | None:
    """The encoding of ``sample``, or None if it is not text. Unless it is the ``whole``, it may end within a character."""
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding if _decodes(sample, encoding, whole) else None
    if b"\0" in sample:
        return _bare_utf16(sample, whole)
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if _decodes(sample, "utf-8", whole):
        return "utf-8" if controls * 10 <= len(sample) else None
    if controls * 200 > len(sample):
        return None
    return next(encoding for encoding in (guess(sample), *_SINGLE_BYTE) if _decodes(sample, encoding, whole))


def candidates(encoding: str) -> tuple[str, ...]:
    """The encodings to try, in order, for a file whose first bytes are in ``encoding``. The last one of a guess never fails."""
    if encoding == "latin-1" or not (encoding == "utf-8" or is_guess(encoding)):
        return (encoding,)
    return tuple(dict.fromkeys((encoding, *_SINGLE_BYTE)))


def is_guess(encoding: str) -> bool:
    """Whether nothing in the bytes tells this encoding from others: any bytes are text in it."""
    return not encoding.startswith("utf")


def doubt(encoding: str) -> str | None:
    """What to say about text read with ``encoding``, when it was a guess."""
    if not is_guess(encoding):
        return None
    return f"it is not UTF-8, so it was read as {encoding}; if letters look wrong, pass encoding="


def _decodes(sample: bytes, encoding: str, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample, whole)
    except UnicodeDecodeError:
        return False
    return True


def _bare_utf16(sample: bytes, whole: bool) -> str | None:
    """UTF-16 without a mark: text in it has its zero bytes on one side only."""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    one_sided = min(even, odd) == 0 and max(even, odd) * 4 >= len(sample)
    if not one_sided or not _decodes(sample, encoding, whole):
        return None
    text = sample[: len(sample) // 2 * 2].decode(encoding, "ignore")
    return encoding if all(character.isprintable() or character.isspace() for character in text[:1000]) else None
