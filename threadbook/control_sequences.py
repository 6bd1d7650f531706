"""What code may send to a terminal. Pure.

Text, line breaks, tabs, carriage returns, backspaces and, where wanted, colours (SGR) pass. Everything else that a
terminal would obey is left out: clipboard and title (OSC), device control, cursor movement, modes, queries
whose answers would arrive as typed input.
"""

from __future__ import annotations

import re

# All the characters that a terminal may take for a command, those of C1 included.
_CONTROL = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_CSI = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*"
# The text of a string command (title, clipboard…) ends at the latest where the next command begins.
_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9b-\x9f]*"
_ESCAPE = r"\x1b[ -/]*"
_SEQUENCE = re.compile(rf"{_CSI}[@-~]|{_STRING}(?:\x07|\x1b\\|\x9c)|{_ESCAPE}[0-~]|{_CONTROL.pattern}")
_UNFINISHED = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?|{_ESCAPE})\Z")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_MAX_HELD = 8_192

#: What ends all colours.
RESET = "\x1b[0m"


class ControlFilter:
    """Filters a stream that comes in pieces; a sequence may begin in one piece and end in the next."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what of the text may be shown now. The beginning of a sequence is held until its end comes."""
        text, self._held = self._held + text, ""
        if not _CONTROL.search(text):
            return text
        unfinished = _UNFINISHED.search(text)
        if unfinished and len(unfinished[0]) <= _MAX_HELD:
            text, self._held = text[: unfinished.start()], unfinished[0]
        return plain(text, colours=self._colours)

    def end(self) -> str:
        """Return what of the held text may be shown, as nothing follows it."""
        held, self._held = self._held, ""
        return plain(held, colours=self._colours)


def plain(text: str, *, colours: bool = False) -> str:
    """Return a whole text without control sequences, but with its colours if wanted. They do not end by themselves."""
    if not _CONTROL.search(text):
        return text
    return _SEQUENCE.sub(lambda found: found[0] if colours and _COLOUR.fullmatch(found[0]) else "", text)
