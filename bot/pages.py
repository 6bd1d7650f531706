"""What an output says in HTML: a page to open in a browser if it is alive, else its words. Pure."""

from __future__ import annotations

import re
from html.parser import HTMLParser

#: Characters of HTML that are read for their words.
_MAX_READ = 200_000
_ALIVE = re.compile(r"<(?:iframe|canvas|video|audio|object|embed)\b", re.IGNORECASE)
_SCRIPT = re.compile(r"<script\b", re.IGNORECASE)
_SPACE = re.compile(r"<(?:div|svg|span|table)\b", re.IGNORECASE)
_SILENT = frozenset({"script", "style", "head", "template"})
_BREAKS = frozenset({"br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "ul", "ol"})


def page_of(html: str) -> bytes | None:
    """Return a page of HTML that only a browser can show, such as an interactive chart; None if its words say all."""
    # a script with nothing to draw into is a library that says it is there
    if _ALIVE.search(html) is None and (_SCRIPT.search(html) is None or _SPACE.search(html) is None):
        return None
    if re.search(r"<html\b", html[:2_000], re.IGNORECASE):
        return html.encode("utf-8", "replace")
    head = '<!doctype html>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    return f"{head}<body>\n{html}\n</body>\n".encode("utf-8", "replace")


def words_of(html: str) -> str:
    """Return the text of HTML, a line for each block."""
    reader = _Words()
    reader.feed(html[:_MAX_READ])
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.words).split("\n"))
    return "\n".join(line for line in lines if line)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in _SILENT
        if tag in _BREAKS:
            self.words.append("\n")
        elif tag in ("td", "th"):
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in _SILENT))
        if tag in _BREAKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)
