"""Whether text is a whole cell, when no kernel can say; and what is typed next. Pure."""

from __future__ import annotations

import ast
import codeop
import re
import warnings

_INDENT = 4
_LEAVES_BLOCK = re.compile(r"\s*(?:return|raise|break|continue|pass)\b")
_GOES_ON = re.compile(r"\s|#|(?:else|elif|except|finally|case)\b")


def is_whole(text: str) -> bool:
    """Whether the text can run: it is complete, or beyond repair. A block is whole when an empty line ends it."""
    if text.lstrip().startswith(("%", "!")):
        return not text.lstrip().startswith("%%") or text.endswith("\n")
    if is_block(text) and text.rsplit("\n", 1)[-1].strip():
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return codeop.compile_command(text.rstrip(" \t"), symbol="exec") is not None
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return True


def is_block(text: str) -> bool:
    """Whether the text ends in a compound statement, which more lines may belong to."""
    statements = _statements(text)
    if statements is None:
        before, _, last = text.rstrip().rpartition("\n")
        return last.endswith(":") or (bool(before) and last[:1].isspace())
    return bool(statements) and hasattr(statements[-1], "body")


def parses(text: str) -> bool:
    """Whether the text is Python as it stands."""
    return _statements(text) is not None


def _statements(text: str) -> list[ast.stmt] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text).body
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return None


def next_indent(text: str) -> str:
    """Return the indentation of the line that follows the text."""
    line = text.rsplit("\n", 1)[-1]
    indent = len(line) - len(line.lstrip(" "))
    if line.rstrip().endswith(":"):
        indent += _INDENT
    elif _LEAVES_BLOCK.match(line):
        indent = max(0, indent - _INDENT)
    return " " * indent


def continues_block(line: str) -> bool:
    """Whether a line can belong to the block before it."""
    return not line.strip() or _GOES_ON.match(line) is not None
