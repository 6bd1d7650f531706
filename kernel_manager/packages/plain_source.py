"""A cell as plain Python: what IPython adds to the language is taken out, line for line. Pure.

IPython itself is not asked: loading it takes longer than most cells run, and reading imports does not need all that it can do.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

from kernel_manager.packages.pip_line import PipLine, read_pip_line

#: Longer cells are data more than code; reading them would take longer than it is worth.
MAX_CODE = 200_000
#: What stands for a magic or a shell command: a call, so that it counts as something that may have effects.
_MAGIC = "__magic__()"
_MARKS = re.compile(r"'''|\"\"\"|'|\"|#|\\.|[()\[\]{}]", re.DOTALL)
_RUNS_CODE = re.compile(r"%{1,2}(?:time|timeit|prun|capture|memit|mprun|lprun)\b((?:\s+-\w+(?:\s*\d+)?)*)\s*(.*)")
_SHELLS = re.compile(r"%%(?:bash|sh|script|!|system)\b|!!")
_AUTOMAGIC = re.compile(r"\s*(?:pip|conda)\s+install\s")
_ASSIGNED = re.compile(r"(\s*[\w.,\[\]'\" ]+=\s*)[!%](?![=!])")
_HELP = re.compile(r"\s*\?{1,2}[\w.*]+\s*$|\s*[\w.*]+\?{1,2}\s*$")


@dataclass(frozen=True, slots=True)
class PlainSource:
    """``tree`` is None if the code is no Python even so; ``text`` is what it was parsed from."""

    text: str
    tree: ast.Module | None
    pip_lines: list[PipLine] = field(default_factory=list)


def plain_source(code: str) -> PlainSource:
    """Parse a cell; its line numbers stay."""
    if len(code) > MAX_CODE:
        return PlainSource("", None)
    if (tree := _parsed(code)) is not None:
        return PlainSource(code, tree)
    lines, found = _translated(code)
    text = "\n".join(lines)
    return PlainSource(text, _parsed(text), found)


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _translated(code: str) -> tuple[list[str], list[PipLine]]:
    lines = code.splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    found: list[PipLine] = []
    if lines and lines[first].startswith("%%"):
        if _SHELLS.match(lines[first]):
            found = [read for line in lines[first + 1 :] if (read := read_pip_line(line)) is not None]
            return [_MAGIC], found
        if not _RUNS_CODE.match(lines[first]):
            return [_MAGIC], []
        lines[first] = _MAGIC
    state = _Scanner()
    result = []
    for line in lines:
        plain = line if state.inside else _plain_line(line, found)
        state.feed(plain)
        result.append(plain)
    return result, found


def _plain_line(line: str, found: list[PipLine]) -> str:
    stripped = line.lstrip()
    indent = line[: len(line) - len(stripped)]
    if stripped.startswith(("%", "!")) or _AUTOMAGIC.match(line):
        if (read := read_pip_line(stripped)) is not None:
            found.append(read)
            return f"{indent}pass"
        if match := _RUNS_CODE.match(stripped):
            return f"{indent}{match[2] or 'pass'}"
        return indent + _MAGIC
    if match := _ASSIGNED.match(line):
        return match[1] + _MAGIC
    if _HELP.match(line):
        return indent + _MAGIC
    return line


class _Scanner:
    """Knows whether the next line begins inside a string or brackets."""

    def __init__(self) -> None:
        self._quote = ""
        self._depth = 0

    @property
    def inside(self) -> bool:
        return bool(self._quote) or self._depth > 0

    def feed(self, line: str) -> None:
        for match in _MARKS.finditer(line):
            mark = match[0]
            if self._quote:
                if mark == self._quote:
                    self._quote = ""
            elif mark == "#":
                return self._end_line()
            elif mark[0] in "'\"":
                self._quote = mark
            elif mark in "([{":
                self._depth += 1
            elif mark in ")]}":
                self._depth = max(0, self._depth - 1)
        return self._end_line()

    def _end_line(self) -> None:
        if len(self._quote) == 1:
            self._quote = ""
