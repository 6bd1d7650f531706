"""Whether two runs of a cell show the same. Pure, but for pictures, whose distance somebody else measures.

Not compared: stills, memory addresses, object ids, execution counts, process ids, durations, random ids of HTML elements,
where the working folder lies.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notebooks_export.cells import joined

#: Pictures are compared by what they show.
PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")
_MAX_DIFF = 2_000
_MAX_DIFF_LINES = 40
_MAX_DIFFED = 200_000

# Outputs are a stranger's: every pattern takes time in proportion to the text.
_NORMAL = (
    (re.compile(r"\x1b\[[0-9;:]*m"), ""),
    (re.compile(r"\b0x[0-9a-fA-F]{6,}\b"), "0x…"),
    (re.compile(r"\b(?:1[34]\d{13}|9[34]\d{12})\b"), "…"),
    (re.compile(r"ipykernel_\d+(?:/\d+\.py)?"), "ipykernel_…"),
    (re.compile(r"<ipython-input-[\w-]+>|\b(?:Cell )?In ?\[\d+\]"), "In[…]"),
    (re.compile(r"(?m)^(CPU times|Wall time): .*"), r"\1: …"),
    (re.compile(r"(?<![\d.,])\d[\d.,]*+ ?[nμumµ]?s ± [^\n]*"), "…"),
    (re.compile(r"\[\d\d:\d\d<[\d:?]{1,12}, {1,4}[\d.?]{1,12} ?[^\s\]]{0,12}\]"), "[…]"),
    (re.compile(r"\bT_[0-9a-f]{5}"), "T_…"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b(?=[\"'<])"), "…"),
    (re.compile(r"(?<![ \t])[ \t]++$", re.MULTILINE), ""),
)


@dataclass(frozen=True, slots=True)
class PicturePair:
    """Two pictures that are not the same bytes: base64 text of one mime type."""

    mime: str
    one: str
    other: str


#: Tells for each pair whether they show the same.
Judge = Callable[[Sequence[PicturePair]], Sequence[bool]]


def normal(text: str, folders: Iterable[str] = ()) -> str:
    """Text without what differs between two runs of anything. ``folders`` are working folders."""
    for folder in folders:
        text = text.replace(folder, "…")
    for pattern, replacement in _NORMAL:
        text = pattern.sub(replacement, text)
    return text


def comparable(outputs: Iterable[Mapping[str, Any]], folders: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The outputs as they are compared: text of one stream joined, everything normalised, pictures as they are."""
    folders = list(folders)
    merged: list[dict[str, Any]] = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output.get("output_type") == "stream":
            text = joined(output.get("text", ""))
            if (last.get("type"), last.get("name")) == ("stream", output.get("name")):
                last["text"] += text
            else:
                merged.append({"type": "stream", "name": output.get("name"), "text": text})
        elif output.get("output_type") == "error":
            merged.append({"type": "error", "text": f"{output.get('ename')}: {output.get('evalue')}"})
        else:
            merged.append({"type": "display", "data": _content(_own_data(output), folders)})
    for item in merged:
        if "text" in item:
            item["text"] = normal(item["text"], folders)
    return [item for item in merged if item.get("text", "display")]


def _own_data(output: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the code itself showed: without the still that Threadbook's kernels draw of what only browsers could show."""
    data, metadata = output.get("data"), output.get("metadata")
    about = metadata.get("threadbook") if isinstance(metadata, Mapping) else None
    still = isinstance(about, Mapping) and about.get("still") is True
    return (
        {mime: value for mime, value in data.items() if not (still and mime == "image/png")} if isinstance(data, Mapping) else {}
    )


def _content(data: Mapping[str, Any], folders: list[str]) -> dict[str, Any]:
    content = {}
    for mime, value in data.items():
        if mime in PICTURES:
            content[mime] = "".join(joined(value).split())
        elif isinstance(value, str) or (isinstance(value, list) and all(isinstance(line, str) for line in value)):
            content[mime] = normal(joined(value), folders)
        else:
            content[mime] = value
    return content


def picture_pairs(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> list[PicturePair]:
    """The pictures that stand at the same place in two comparable lists of outputs and are not the same bytes."""
    pairs = []
    for left, right in zip(one, other, strict=False):
        for mime in PICTURES:
            values = (left.get("data", {}).get(mime), right.get("data", {}).get(mime))
            if values[0] is not None and values[1] is not None and values[0] != values[1]:
                pairs.append(PicturePair(mime, values[0], values[1]))
    return pairs


def same(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]], alike: frozenset[PicturePair]) -> bool:
    """Whether two comparable lists of outputs are the same; ``alike`` are pairs of pictures that show the same."""
    return len(one) == len(other) and all(_same(left, right, alike) for left, right in zip(one, other, strict=True))


def _same(one: dict[str, Any], other: dict[str, Any], alike: frozenset[PicturePair]) -> bool:
    if one.get("type") != "display" or other.get("type") != "display":
        return one == other
    left, right = one["data"], other["data"]
    return left.keys() == right.keys() and all(
        left[mime] == right[mime] or (mime in PICTURES and PicturePair(mime, left[mime], right[mime]) in alike) for mime in left
    )


def difference(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> str:
    """What differs, as a unified diff of at most some thousand characters."""
    lines = [_readable(outputs)[:_MAX_DIFFED].splitlines() for outputs in (one, other)]
    diff = list(difflib.unified_diff(lines[0][:2000], lines[1][:2000], "session", "fresh run", lineterm="", n=1))
    text = "\n".join(line[:300] for line in diff[:_MAX_DIFF_LINES])
    more = len(diff) - _MAX_DIFF_LINES
    text = text[:_MAX_DIFF] + ("\n…" if more > 0 or len(text) > _MAX_DIFF else "")
    return text or "the pictures differ"


def _readable(outputs: Sequence[dict[str, Any]]) -> str:
    parts = []
    for output in outputs:
        if output["type"] != "display":
            parts.append(output["text"])
            continue
        data = output["data"]
        parts.append(str(data.get("text/plain", "")) or ", ".join(data))
        parts += [f"({mime})" for mime in data if mime in PICTURES]
    return "\n".join(parts)
