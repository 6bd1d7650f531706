"""Draws messages of a turn about as Discord shows them: for the README, from the same data as the snapshot tests.

::

    python -m tools.turn_picture docs/discord-turn.png [--emoji-font NotoColorEmoji.ttf]

It knows as much of Discord's look as the bot uses: texts with code blocks, bold, code and small print, pictures, files,
buttons. Without a font that has colourful emoji (Debian: fonts-noto-color-emoji) they are left out.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot.posts import Files, Panel, Post
from bot.uploads import Upload
from bot.views.buttons import looks_of
from tests.bot.demo_turn import ATTACHED, QUESTION, demo_posts

SCALE = 2
WIDTH = 720
_LEFT, _RIGHT = 72, 24
_PAGE, _BLOCK, _EDGE, _INK, _FAINT, _WHITE = "#313338", "#2b2d31", "#1e1f22", "#dbdee1", "#949ba4", "#f2f3f5"
_LINK, _TAG, _MENTION, _MENTION_INK = "#00a8fc", "#5865f2", "#3c4270", "#c9cdfb"
_STYLES = {"primary": "#5865f2", "secondary": "#4e5058", "danger": "#da373c"}
_PIECES = re.compile(r"(\*\*.+?\*\*|\*[^*]+\*|`[^`]+`|@Threadbook|\\.)")
_STAMP = re.compile(r"<t:\d+:R>")
_EMOJI = re.compile("[\u25b6\U0001f300-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff]\ufe0f?")
_EMOJI_SIZE = 109
_EMOJI_FONTS = ("NotoColorEmoji.ttf", "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
_FONTS = {
    "plain": "LiberationSans-Regular.ttf",
    "bold": "LiberationSans-Bold.ttf",
    "italic": "LiberationSans-Italic.ttf",
    "mention": "LiberationSans-Regular.ttf",
    "code": "DejaVuSansMono.ttf",
}
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Piece:
    """Some letters in one style: plain, bold, italic, code or mention."""

    text: str
    style: str = "plain"


class Sheet:
    """A long page that is written from top to bottom. Sizes are in Discord's pixels."""

    def __init__(self, emoji_font: str | None) -> None:
        self._image = Image.new("RGB", (WIDTH * SCALE, 6_000 * SCALE), _PAGE)
        self._draw = ImageDraw.Draw(self._image)
        self._emoji = _load(emoji_font) if emoji_font else next((font for name in _EMOJI_FONTS if (font := _load(name))), None)
        self.y = 16.0

    def save(self, path: Path) -> None:
        """Write what there is."""
        height = round((self.y + 16) * SCALE)
        cut = self._image.crop((0, 0, WIDTH * SCALE, height))
        cut.quantize(160, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)

    # --- what there is to see -------------------------------------------------------------------------------------

    def author(self, name: str, colour: str, *, app: bool = False) -> None:
        """Who wrote what follows."""
        self._round((16, self.y, 56, self.y + 40), colour, 20)
        letter = _font("bold", 18)
        self._put(36 - self._width(name[0], letter) / 2, self.y + 10, name[0], letter, _WHITE)
        bold, small = _font("bold", 16), _font("plain", 12)
        self._put(_LEFT, self.y, name, bold, _WHITE)
        x = _LEFT + self._width(name, bold) + 6
        if app:
            self._round((x, self.y + 2, x + 30, self.y + 17), _TAG, 4)
            self._put(x + 4, self.y + 3, "APP", _font("bold", 11), _WHITE)
            x += 36
        self._put(x, self.y + 4, "Today at 14:03", small, _FAINT)
        self.y += 24

    def text(self, markdown: str) -> None:
        """A text as Discord formats it."""
        markdown = _STAMP.sub("2 seconds ago", markdown)
        for number, part in enumerate(markdown.split("```")):
            if number % 2:
                self._code(part.partition("\n")[2].rstrip("\n"))
                continue
            for line in part.strip("\n").split("\n") if part.strip("\n") else ():
                small = line.startswith("-# ")
                self._line(line.removeprefix("-# "), 13 if small else 16, _FAINT if small else _INK)
        self.y += 4

    def picture(self, content: bytes) -> None:
        """A picture that is attached."""
        with Image.open(io.BytesIO(content)) as image:
            width = min(520, image.width)
            size = (width * SCALE, round(image.height * width / image.width) * SCALE)
            shown = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        mask = Image.new("L", size, 0)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), 8 * SCALE, fill=255)
        self._image.paste(shown, (_LEFT * SCALE, round(self.y * SCALE)), mask)
        self.y += size[1] / SCALE + 8

    def file(self, name: str, size: int) -> None:
        """A file that is attached."""
        self._round((_LEFT, self.y, _LEFT + 330, self.y + 56), _BLOCK, 8, _EDGE)
        self._symbol("📄", _LEFT + 14, self.y + 14, 28)
        self._put(_LEFT + 54, self.y + 10, name, _font("plain", 16), _LINK)
        self._put(
            _LEFT + 54, self.y + 31, f"{size / 2**20:.2f} MB" if size > 2**19 else f"{size} bytes", _font("plain", 12), _FAINT
        )
        self.y += 64

    def buttons(self, buttons: Sequence[tuple[str, str, str]]) -> None:
        """A row of buttons: label, emoji, style; as many lines as it takes."""
        x, font = float(_LEFT), _font("plain", 14)
        for label, emoji, style in buttons:
            width = self._width(label, font) + (24 if self._emoji else 0) + 28
            if x + width > WIDTH - _RIGHT:
                x, self.y = float(_LEFT), self.y + 40
            self._round((x, self.y, x + width, self.y + 32), _STYLES[style], 8)
            self._symbol(emoji, x + 12, self.y + 7, 18)
            self._put(x + (38 if self._emoji else 14), self.y + 8, label, font, _WHITE)
            x += width + 8
        self.y += 44

    # --- how ------------------------------------------------------------------------------------------------------

    def _code(self, code: str) -> None:
        font, lines = _font("code", 14), code.split("\n")
        height = 19 * len(lines) + 16
        self._round((_LEFT, self.y + 2, WIDTH - _RIGHT - 60, self.y + 2 + height), _BLOCK, 4, _EDGE)
        for number, line in enumerate(lines):
            self._put(_LEFT + 9, self.y + 10 + 19 * number, line, font, _INK)
        self.y += height + 8

    def _line(self, line: str, size: int, colour: str) -> None:
        x = float(_LEFT)
        for piece in _words(line):
            font = _font(piece.style, size - 2 if piece.style == "code" else size)
            width = size * 1.35 if _EMOJI.fullmatch(piece.text) else self._width(piece.text, font)
            if x + width > WIDTH - _RIGHT and x > _LEFT:
                x, self.y = float(_LEFT), self.y + size * 1.375
                if not piece.text.strip():
                    continue
            if _EMOJI.fullmatch(piece.text):
                self._symbol(piece.text, x, self.y + 1, size * 1.15)
            elif piece.style == "mention":
                self._round((x - 2, self.y, x + width + 2, self.y + 21), _MENTION, 3)
                self._put(x, self.y + 1, piece.text, font, _MENTION_INK)
            else:
                if piece.style == "code":
                    self._round((x - 2, self.y, x + width + 2, self.y + 20), _BLOCK, 3, _EDGE)
                self._put(x, self.y + 1, piece.text, font, colour)
            x += width
        self.y += size * 1.375

    def _symbol(self, emoji: str, x: float, y: float, size: float) -> None:
        if self._emoji is None:
            return
        drawn = Image.new("RGBA", (_EMOJI_SIZE + 30, _EMOJI_SIZE + 30))
        ImageDraw.Draw(drawn).text((0, 0), emoji.replace("\ufe0f", ""), font=self._emoji, embedded_color=True)
        box = drawn.getbbox()
        if box is not None:
            drawn = drawn.crop(box)
            drawn.thumbnail((round(size * SCALE), round(size * SCALE)), Image.Resampling.LANCZOS)
            self._image.paste(drawn, (round(x * SCALE), round(y * SCALE)), drawn)

    def _put(self, x: float, y: float, text: str, font: Font, colour: str) -> None:
        self._draw.text((x * SCALE, y * SCALE), text, fill=colour, font=font)

    def _round(self, box: tuple[float, float, float, float], fill: str, radius: float, edge: str | None = None) -> None:
        self._draw.rounded_rectangle([each * SCALE for each in box], radius * SCALE, fill=fill, outline=edge, width=SCALE)

    def _width(self, text: str, font: Font) -> float:
        return font.getlength(text) / SCALE


def _words(line: str) -> Iterator[Piece]:
    """The words of a line of Markdown with their styles, spaces and emoji by themselves."""
    for part in _PIECES.split(line):
        if part.startswith("**") and len(part) > 4:
            yield from (Piece(word, "bold") for word in re.split(r"( )", part[2:-2]))
        elif part.startswith("*") and len(part) > 2:
            yield from (Piece(word, "italic") for word in re.split(r"( )", part[1:-1]))
        elif part.startswith("`") and len(part) > 2:
            yield Piece(part[1:-1], "code")
        elif part == "@Threadbook":
            yield Piece(part, "mention")
        elif part.startswith("\\"):
            yield Piece(part[1:])
        else:
            yield from (Piece(word) for word in re.split(rf"( |{_EMOJI.pattern})", part) if word)


def _font(style: str, size: int) -> Font:
    try:
        return ImageFont.truetype(_FONTS[style], size * SCALE)
    except OSError:
        return ImageFont.load_default(size * SCALE)


def _load(name: str) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, _EMOJI_SIZE)
    except OSError:
        return None


def draw(sheet: Sheet, posts: Sequence[Post]) -> None:
    """Draw the messages of a turn."""
    for post in posts:
        if isinstance(post, Panel):
            for text in post.texts:
                sheet.text(text)
        if isinstance(post, Files):
            for upload in post.uploads:
                _draw_file(sheet, upload)
        if post.buttons:
            sheet.buttons([looks_of(name) for name in post.buttons])


def _draw_file(sheet: Sheet, upload: Upload) -> None:
    if isinstance(upload.content, bytes) and upload.filename.endswith(".png"):
        sheet.picture(upload.content)
    else:
        sheet.file(upload.filename, upload.size)


def main() -> None:
    """Draw the turn of the snapshot tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--emoji-font")
    options = parser.parse_args()
    sheet = Sheet(options.emoji_font)
    sheet.author("ada", "#3ba55d")
    sheet.text(QUESTION)
    sheet.file(*ATTACHED)
    sheet.y += 14
    sheet.author("Threadbook", "#e67e22", app=True)
    draw(sheet, demo_posts())
    sheet.save(options.target)


if __name__ == "__main__":
    main()
