"""Which of the older encodings a text that is not UTF-8 has, told by what makes words of its bytes.

A guess, and always said to be one. Western European (cp1252) wins a tie, as it is by far the most frequent.
"""
# ruff: noqa: RUF001  (signs that are alike are what this is about)

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

_MAX_BYTES = 16 * 1024
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")

#: Encodings of two bytes for a character → whether these two bytes are one of the frequent characters.
_PAIRS: dict[str, Callable[[int, int], bool]] = {
    "cp932": lambda first, second: 0x81 <= first <= 0x83 or 0x88 <= first <= 0x97,
    "cp949": lambda first, second: first in (0xA1, 0xA3) or (0xB0 <= first <= 0xC8 and second >= 0xA1),
    "gb18030": lambda first, second: first in (0xA1, 0xA3) or (0xB0 <= first <= 0xD7 and second >= 0xA1),
    "euc_jp": lambda first, second: first in (0xA1, 0xA3, 0xA4, 0xA5) or 0xB0 <= first <= 0xCF,
    "big5": lambda first, second: 0xA1 <= first <= 0xC6,
}
_MIN_PAIRS = 4

#: Encodings of one byte for a character → the script that words are in. Of equally good ones the first counts.
_SCRIPTS = {
    "cp1252": "LATIN", "cp1254": "LATIN", "cp1250": "LATIN", "cp850": "LATIN", "mac_roman": "LATIN",
    "cp1255": "HEBREW", "cp1251": "CYRILLIC", "koi8_r": "CYRILLIC", "cp866": "CYRILLIC", "cp1253": "GREEK",
    "cp1256": "ARABIC", "cp874": "THAI",
}  # fmt: skip
_USUAL = "cp1252"
_HEAD_START = 1.5
_MIN_MERIT = 2

# Letters, and the signs on and below those of Hebrew, Arabic and Thai.
_WORD = re.compile(r"(?:[^\W\d_µªº¹²³¼½¾]|[\u0591-\u05c7\u064b-\u0652\u0e31-\u0e4e])+")
# What stands in a word, before one or anywhere only when the encoding is wrong.
_MISFITS = (
    re.compile(r"(?<=[^\W\d_])[^\w\s\x00-\x7f’‘´·\-–—­°\u0591-\u05c7\u064b-\u0652\u0e31-\u0e4e](?=[^\W\d_])"),
    re.compile(r"(?<![\w.,])[€ƒ†‡ˆ‰™¢£¤¥¦§¨¬¯±¶¸¹º¼½¾](?=[^\W\d_])"),
    re.compile(r"(?<=[^\W\d_])(?:þ|[¹³¿ìù](?=[^\W\d_]))"),
    re.compile(r"[\x80-\x9f\u200e\u200f\u2500-\u259f]"),
    re.compile(r"[ךםןףץ](?=[א-ת])"),
)
# Signs that stand where they belong.
_FITS = (
    re.compile(r"(?<!\w)[“‘„«](?=\w)|(?<=[\w.,!?])[”’“»](?!\w)|(?<=\w)’(?=\w)"),
    re.compile(r"(?<=\s)[–—](?=\s)|(?<![^\W\d])[€£]|(?<=\d)[ \xa0]?°"),
)


def guess(sample: bytes) -> str:
    """The most plausible encoding of a text that is no UTF-8; ``cp1252`` if none is better, whether it fits or not."""
    telling = _lines_beyond_ascii(sample)
    for encoding, is_frequent in _PAIRS.items():
        if _reads_as_pairs(telling, encoding, is_frequent):
            return encoding
    merits = {encoding: _merit(telling, encoding, script) for encoding, script in _SCRIPTS.items()}
    best = max(merits, key=lambda encoding: merits[encoding])
    return best if merits[best] >= _MIN_MERIT else _USUAL


def _lines_beyond_ascii(sample: bytes) -> bytes:
    lines, size = [], 0
    for line in sample.splitlines():
        if not line.isascii():
            lines.append(line)
            size += len(line)
            if size > _MAX_BYTES:
                break
    # The last line of a sample may end within a character.
    return b"\n".join(lines[:-1] if len(lines) > 8 else lines)[: 2 * _MAX_BYTES]


def _reads_as_pairs(data: bytes, encoding: str, is_frequent: Callable[[int, int], bool]) -> bool:
    try:
        runs = _NOT_ASCII.findall(data.decode(encoding))
        pairs = [character.encode(encoding) for run in runs for character in run]
    except UnicodeError:
        return False
    # Between Latin letters an accented one stands alone; characters of East Asia do not.
    if len(pairs) < _MIN_PAIRS or len(pairs) < 1.5 * len(runs):
        return False
    wide = [pair for pair in pairs if len(pair) == 2]
    return 2 * len(wide) >= len(pairs) and sum(is_frequent(*pair) for pair in wide) >= 0.9 * len(wide)


def _merit(data: bytes, encoding: str, script: str) -> float:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return -len(data)
    words = [word for word in _WORD.findall(text) if len(word) > 1 and not word.isascii()]
    good = sum(_is_word(word, script) for word in words)
    signs = sum(len(fit.findall(text)) for fit in _FITS) - sum(len(misfit.findall(text)) for misfit in _MISFITS)
    return 2 * good - len(words) + signs + (_HEAD_START if encoding == _USUAL else 0)


def _is_word(word: str, script: str) -> bool:
    foreign = [letter for letter in word if not letter.isascii()]
    if any(_script(letter) != script for letter in foreign):
        return False
    if not (word.islower() or word.isupper() or word[1:].islower() or word.upper() == word.lower()):
        return False
    if script == "LATIN":
        return len(foreign) * 2 <= len(word)
    return len(foreign) == len(word)


@cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]
