"""An error as a model needs it: what was raised, and the frames that matter."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ESCAPE = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.?")
_FRAME = re.compile(r"(?:Cell |File )")
_CELL = re.compile(r"Cell |File /workspace/|File /?tmp/ipykernel_|<ipython-input")
_FENCE = re.compile(r"-{20,}\s*")
#: What the error's own line says again at the end.
_HEADING = re.compile(r"\S+\s+Traceback \(most recent call last\)")
#: Where the environment lies on this machine is nobody's business, and long.
_LIBRARY = re.compile(r"^File /\S*?/(?:site-packages|lib/python3\.\d+)/(?:site-packages/)?")
_MAX_FRAME_LINES = 12
_MAX_FRAMES = 6


def plain_text(text: str) -> str:
    """Return the text without the terminal's control sequences and with the last state of each overwritten line."""
    text = _ESCAPE.sub("", text).replace("\r\n", "\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")) if "\r" in text else text


def relevant(traceback: Sequence[str], ename: str, evalue: str) -> str:
    """Return an error's lines: the user's own frames and the one where it was raised; the library's others are counted.

    ``traceback`` is IPython's: blocks of lines, one for each frame, with colours.
    """
    blocks = [plain_text(str(block)).rstrip() for block in traceback]
    blocks = [block for block in blocks if block and not _FENCE.fullmatch(block) and not _HEADING.fullmatch(block)]
    if not blocks:
        return f"{ename}: {evalue}"
    frames = [number for number, block in enumerate(blocks) if _FRAME.match(block)]
    own = [number for number in frames if _CELL.match(blocks[number])]
    last_raised = [number for number in frames if number + 1 not in frames]
    kept = sorted({*own[-_MAX_FRAMES:], *last_raised[-_MAX_FRAMES:]})
    return "\n".join(_lines(blocks, frames, kept))


def _lines(blocks: list[str], frames: list[int], kept: list[int]) -> list[str]:
    lines: list[str] = []
    left_out = 0
    for number, block in enumerate(blocks):
        if number in frames and number not in kept:
            left_out += 1
            continue
        if left_out:
            lines.append(f"[{left_out} frame{'s' if left_out > 1 else ''} of libraries left out]")
            left_out = 0
        lines.append(_shortened(block) if number in frames else block)
    return lines


def _shortened(block: str) -> str:
    """A frame with its place and the lines around the one that raised."""
    lines = _LIBRARY.sub("File ", block).split("\n")
    place = lines[0] if len(lines[0]) <= 300 else f"{lines[0][:300]}…"
    if len(lines) <= _MAX_FRAME_LINES:
        return "\n".join([place, *lines[1:]])
    at = next((number for number, line in enumerate(lines) if re.match(r"\s*-+>", line)), 1)
    first = max(1, at - _MAX_FRAME_LINES // 2)
    return "\n".join([place, *lines[first : first + _MAX_FRAME_LINES]])
