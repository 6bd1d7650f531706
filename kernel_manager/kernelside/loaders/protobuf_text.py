"""Protocol buffers in their text form, read without their schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .plain import load_text
from .source import Source, Unreadable

_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*) | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<name>[A-Za-z_][\w.\-/]*|\[[\w./\-]+\])
    | (?P<number>[-+]?(?:\d[\w.+\-]*|\.\d[\w+\-]*|inf(?:inity)?\b|nan\b))
    | (?P<mark>[{}<>\[\]:,;-])""",
    re.VERBOSE,
)
_MAX_DEPTH = 200
_WORDS = {"true": True, "false": False}


def load_protobuf_text(source: Source) -> dict[str, Any]:
    """A dict: fields that occur several times are lists, messages are dicts, enumerations are strings."""
    tokens = _Tokens(load_text(source))
    message = _message(tokens, "", 0)
    if not message:
        raise Unreadable("it has no fields")
    return message


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens = _tokenise(text)
        self.kind, self.value, self.line = next(self._tokens)

    def take(self) -> str:
        value = self.value
        self.kind, self.value, self.line = next(self._tokens)
        return value

    def accept(self, marks: str) -> str:
        return self.take() if self.kind == "mark" and self.value in marks else ""

    def fail(self) -> Unreadable:
        return Unreadable(f"line {self.line} is no protobuf text (at {self.value[:40]!r})" if self.value else "it ends too early")


def _tokenise(text: str) -> Iterator[tuple[str, str, int]]:
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise Unreadable(f"line {line} is no protobuf text (at {text[at : at + 40]!r})")
        if match.lastgroup != "skip":
            yield match.lastgroup, match[0], line
        line += match[0].count("\n")
        at = match.end()
    while True:
        yield "end", "", line


def _message(tokens: _Tokens, close: str, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise Unreadable("it is nested too deeply")
    fields: dict[str, list[Any]] = {}
    while True:
        if (tokens.kind == "end" and not close) or (close and tokens.accept(close)):
            return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
        if tokens.kind != "name":
            raise tokens.fail()
        fields.setdefault(tokens.take(), []).extend(_field(tokens, depth))
        tokens.accept(",;")


def _field(tokens: _Tokens, depth: int) -> list[Any]:
    colon = tokens.accept(":")
    if tokens.accept("["):
        values = []
        while not tokens.accept("]"):
            values.append(_value(tokens, depth, colon=True))
            tokens.accept(",")
        return values
    return [_value(tokens, depth, colon=bool(colon))]


def _value(tokens: _Tokens, depth: int, *, colon: bool) -> Any:
    if opened := tokens.accept("{<"):
        return _message(tokens, "}" if opened == "{" else ">", depth + 1)
    if not colon:
        raise tokens.fail()
    if tokens.kind == "text":
        parts = []
        while tokens.kind == "text":
            parts.append(_unquoted(tokens.take()))
        return "".join(parts)
    sign = "-" if tokens.accept("-") else ""
    if tokens.kind == "number":
        return _number(sign + tokens.take(), tokens)
    if tokens.kind == "name":
        word = tokens.take()
        return float(sign + word) if word in ("inf", "nan", "infinity") else _WORDS.get(word, word)
    raise tokens.fail()


def _unquoted(token: str) -> str:
    try:
        return token[1:-1].encode("utf-8").decode("unicode_escape").encode("latin-1").decode("utf-8")
    except UnicodeError:
        return token[1:-1]


def _number(text: str, tokens: _Tokens) -> int | float:
    try:
        return int(text, 8) if re.fullmatch(r"-?0[0-7]+", text) else int(text, 0)
    except ValueError:
        try:
            return float(text.rstrip("fF"))
        except ValueError:
            raise tokens.fail() from None
