"""Takes the thinking that some models write into their answers, between ``<think>`` and ``</think>``, out of a stream."""

from __future__ import annotations

from typing import Literal

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkingFilter:
    """Fed with pieces of an answer, returns the pieces that are for the reader.

    Thinking stands at the beginning only. Some chat templates leave the opening tag out: then :attr:`withdrawn` becomes true
    when the closing one comes on a line of its own, and what was returned before was thinking.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state: Literal["start", "thinking", "gap", "answer"] = "start"
        self._last = "\n"
        self.withdrawn = False

    def feed(self, text: str) -> str:
        """Return what can be shown now."""
        self._held += text
        if self._state == "start":
            self._decide()
        if self._state == "thinking":
            self._skip()
        if self._state == "gap":
            self._held = self._held.lstrip()
            self._state = "answer" if self._held else "gap"
        return self._release() if self._state == "answer" else ""

    def end(self) -> str:
        """Return what is left when nothing more comes. Thinking without an end was all there was."""
        rest, self._held = self._held, ""
        return "" if self._state == "thinking" else rest

    def _decide(self) -> None:
        begun = self._held.lstrip()
        if begun.startswith(_OPEN):
            self._held, self._state = begun[len(_OPEN) :], "thinking"
        elif not _OPEN.startswith(begun):
            self._state = "answer"

    def _skip(self) -> None:
        _, tag, rest = self._held.partition(_CLOSE)
        self._held = rest if tag else self._held[-len(_CLOSE) :]
        self._state = "gap" if tag else "thinking"

    def _release(self) -> str:
        before, tag, rest = self._held.partition(_CLOSE)
        if tag and not self.withdrawn and (before or self._last).endswith("\n"):
            self.withdrawn = True
            self._held, self._state = "", "gap"
            return self.feed(rest)
        keep = _overlap(self._held)
        shown, self._held = (self._held[:-keep], self._held[-keep:]) if keep else (self._held, "")
        self._last = shown[-1:] or self._last
        return shown


def _overlap(text: str) -> int:
    """Return how many characters at the end may be the beginning of a closing tag."""
    longest = min(len(_CLOSE) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if _CLOSE.startswith(text[-size:])), 0)
