"""A table that is too wide for a phone's text, as a picture. Pure: the same table gives the same bytes.

Whatever stands in the cells is drawn glyph by glyph, bounded in rows, columns and characters.
"""

from __future__ import annotations

import functools
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

MAX_ROWS = 25
MAX_COLUMNS = 20
MAX_CELL = 28
#: Pixels.
MAX_WIDTH = 1_800
_SIZE = 26
_PAD_X, _PAD_Y = 16, 9
_PAPER, _STRIPE, _HEAD, _LINE, _INK, _FAINT = "#ffffff", "#f5f6f8", "#e7eaef", "#c9ced6", "#1f2328", "#656d76"
_NUMBER = re.compile(r"[+-]?[\d.,\s]*\d[\d.,]*(?:[eE][+-]?\d+)?%?|[+-]?(?:nan|inf|NaN|NaT)|\.\.\.|")
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
#: The share of characters that may be missing: a smiley among the words spoils no table.
_BOXES = 0.05
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def table_png(rows: Sequence[Sequence[str]]) -> bytes | None:
    """Return a PNG of the first rows and columns; the first row is the head. None if the fonts here lack its letters.

    All rows have the same number of cells, at least one.
    """
    font = _font()
    shown = [[_cell(cell) for cell in row[:MAX_COLUMNS]] for row in rows[: MAX_ROWS + 1]]
    if not _has_letters(font, (cell for row in shown for cell in row)):
        return None
    widths = _fitting([max(_width(font, cell) for cell in column) for column in zip(*shown, strict=True)])
    remarks = _remarks(len(rows) - len(shown), len(rows[0]) - len(widths))
    return _drawn([row[: len(widths)] for row in shown], widths, remarks, font)


def _cell(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_CELL else line[: MAX_CELL - 1] + "…"


def _fitting(widths: Sequence[int]) -> list[int]:
    fitting: list[int] = []
    for width in widths:
        if fitting and sum(fitting) + width + 2 * _PAD_X * (len(fitting) + 1) > MAX_WIDTH:
            break
        fitting.append(width)
    return fitting


def _remarks(rows: int, columns: int) -> list[str]:
    more = [(rows, "row"), (columns, "column")]
    return [f"… {number:,} more {word}{'s' if number > 1 else ''}" for number, word in more if number > 0]


def _drawn(rows: Sequence[Sequence[str]], widths: Sequence[int], remarks: Sequence[str], font: Font) -> bytes:
    height = _SIZE + 2 * _PAD_Y
    size = (sum(widths) + 2 * _PAD_X * len(widths), height * (len(rows) + bool(remarks)))
    image = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(image)
    numeric = [all(_NUMBER.fullmatch(cell) for cell in column[1:]) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        top = number * height
        if number % 2 == 0:
            draw.rectangle((0, top, size[0], top + height), fill=_STRIPE if number else _HEAD)
        left = 0
        for cell, width, right in zip(row, widths, numeric, strict=True):
            at = left + _PAD_X + (width - _width(font, cell) if right else 0)
            draw.text((at, top + height / 2), cell, fill=_INK, font=font, anchor="lm")
            left += width + 2 * _PAD_X
    draw.line((0, height, size[0], height), fill=_LINE, width=2)
    if remarks:
        draw.text((_PAD_X, size[1] - height / 2), "   ".join(remarks), fill=_FAINT, font=font, anchor="lm")
    stream = io.BytesIO()
    image.quantize(32, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(stream, "PNG")
    return stream.getvalue()


@functools.cache
def _font() -> Font:
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, _SIZE, layout_engine=ImageFont.Layout.BASIC)
        except OSError:
            continue
    return ImageFont.load_default(_SIZE)


def _width(font: Font, text: str) -> int:
    return round(font.getlength(text))


def _has_letters(font: Font, cells: Iterable[str]) -> bool:
    """Whether the font has nearly all characters: what it lacks, it draws as one and the same box."""
    lacking = bytes(font.getmask("\U0010fffe"))
    letters = Counter(letter for cell in cells for letter in cell if letter.isprintable() and letter != " ")
    boxes = sum(count for letter, count in letters.items() if bytes(font.getmask(letter)) == lacking)
    return boxes <= _BOXES * letters.total()
