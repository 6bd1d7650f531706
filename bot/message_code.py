"""Code in what people write: ``!run``, and code blocks. Pure."""

from __future__ import annotations

import re

PREFIX = "!run"
_BLOCK = re.compile(r"```(?:(?:py|python|python3|ipython)?[ \t]*\n)?(.*?)```", re.DOTALL | re.IGNORECASE)
_MAX_CELLS = 20


def code_blocks(text: str) -> tuple[str, ...]:
    """Return what stands in the code blocks of a message, in order."""
    found = (block.strip("\n") for block in _BLOCK.findall(text))
    return tuple(block for block in found if block.strip())[:_MAX_CELLS]


def is_run(text: str) -> bool:
    """Whether a message asks to run what stands behind ``!run``, or in the files that came with it."""
    text = text.strip()
    return text == PREFIX or text.startswith((f"{PREFIX} ", f"{PREFIX}\n", f"{PREFIX}`"))


def code_to_run(text: str, *, model: bool) -> tuple[str, ...]:
    """Return the cells that a message asks to run directly; none if it is for the model.

    ``!run`` asks for it, with code blocks or the code itself behind it; without a ``model``, code blocks do, too.
    """
    text = text.strip()
    if is_run(text):
        rest = text.removeprefix(PREFIX).strip()
        return code_blocks(rest) or ((rest.strip("`"),) if rest.strip("`").strip() else ())
    return () if model else code_blocks(text)
