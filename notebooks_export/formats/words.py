"""What stands for an output that cannot be seen: the words of a figure, of a formula, of something interactive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from notebooks_export.cells import joined, one_line
from notebooks_export.formats.sanitising import harmless

#: Stands where a page cannot show what a notebook can.
INTERACTIVE = "[something interactive: open the notebook to see it]"
_TAG = re.compile(r"<[^>]*>")
_MAX_ALTERNATIVE = 300
_MAX_PART = 80
_MAX_AXES = 6


def alternative(metadata: Any) -> str:
    """What a figure shows, from what the kernel noted about it: its titles and axes; ``figure`` if it noted nothing."""
    note = _mapping(_mapping(_mapping(metadata).get("threadbook")).get("figure"))
    axes = note.get("axes")
    parts = [_part(note.get("title"))]
    parts += [part for entry in (axes[:_MAX_AXES] if isinstance(axes, list) else []) for part in _axes(_mapping(entry))]
    shown = "; ".join(part for part in parts if part)[:_MAX_ALTERNATIVE]
    return f"figure: {shown}" if shown else "figure"


def _axes(axes: Mapping[str, Any]) -> Iterator[str]:
    yield _part(axes.get("title"))
    for name in ("x", "y"):
        if label := _part(_mapping(axes.get(name)).get("label")):
            yield f"{name} is {label}"


def _part(value: Any) -> str:
    return one_line(value[: 4 * _MAX_PART])[:_MAX_PART] if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def visible_html(data: Mapping[str, Any]) -> str | None:
    """The HTML of an output, made harmless; :data:`INTERACTIVE` if nothing is left of it, None if nothing was to be seen.

    A script alone, without another form of the same output, shows nothing: it prepares what comes after it.
    """
    html = harmless(joined(data["text/html"]))
    if _TAG.sub("", html).strip() or "<img" in html:
        return html
    return INTERACTIVE if len(data) > 1 else None


def formula(data: Mapping[str, Any]) -> str | None:
    """The LaTeX of an output whose plain text says nothing but what object it is, or None."""
    if "text/latex" not in data:
        return None
    plain = joined(data.get("text/plain", "<"))
    return joined(data["text/latex"]) if plain.startswith("<") else None
