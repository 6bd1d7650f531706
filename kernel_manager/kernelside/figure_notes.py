"""What a Matplotlib figure shows, in words and numbers, for whoever cannot see the picture.

It travels in the metadata of the display, under ``threadbook``, and so is in the history and in exported notebooks, too.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from typing import Any

from IPython.core.formatters import DisplayFormatter

from .stills import in_bundle, still_of

MAX_AXES = 12
MAX_TEXT = 120
MAX_LABELS = 12
MAX_SAVED = 12
_SAVED = "_threadbook_saved"


class NotingFormatter(DisplayFormatter):
    """IPython's formatter, which adds what a figure shows to its picture's metadata, and a picture to what has none."""

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """See IPython."""
        data, metadata = super().format(obj, include=include, exclude=exclude)
        if include is None and (png := still_of(obj, data)) is not None:
            data = {**data, "image/png": in_bundle(png)}
            metadata = {**metadata, "threadbook": {"still": True}}  # a plain Jupyter has no such picture
        if any(mime.startswith("image/") for mime in data) and (note := note_of(obj)) is not None:
            metadata = {**metadata, "threadbook": {"figure": note}}
        return data, metadata


def note_of(obj: Any) -> dict[str, Any] | None:
    """Describe a figure; None for anything else, or when it cannot be described."""
    module = sys.modules.get("matplotlib.figure")
    if module is None or not isinstance(obj, module.Figure):
        return None
    try:
        title = obj.get_suptitle() if hasattr(obj, "get_suptitle") else ""
        return {
            "title": _text(title),
            "axes": [_axes(axes) for axes in obj.axes[:MAX_AXES]],
            "more_axes": len(obj.axes[MAX_AXES:]),
            "saved": list(getattr(obj, _SAVED, ())),
        }
    except Exception:  # noqa: BLE001  (a figure that cannot be described is shown all the same)
        return None


def watch_saving() -> None:
    """Have figures remember the names of the files that they are saved as: who shows both need not show the same twice."""
    module = sys.modules.get("matplotlib.figure")
    if module is None:
        return
    save = module.Figure.savefig

    @functools.wraps(save)
    def savefig(self: Any, fname: Any, **options: Any) -> Any:
        done = save(self, fname, **options)
        if isinstance(fname, (str, os.PathLike)):
            saved = getattr(self, _SAVED, [])
            setattr(self, _SAVED, [*saved, _text(os.path.basename(os.fsdecode(fname)))][-MAX_SAVED:])
        return done

    module.Figure.savefig = savefig


def _axes(axes: Any) -> dict[str, Any]:
    _, labels = axes.get_legend_handles_labels()
    # "PathCollection" → 2: lines, markers, bars, images and the like, each kind by Matplotlib's own name
    artists: dict[str, int] = {}
    for artist in [*axes.lines, *axes.collections, *axes.images, *axes.containers]:
        kind = type(artist).__name__
        artists[kind] = artists.get(kind, 0) + 1
    return {
        "title": _text(axes.get_title()),
        "x": _axis(axes.get_xlabel(), axes.get_xlim(), axes.get_xscale()),
        "y": _axis(axes.get_ylabel(), axes.get_ylim(), axes.get_yscale()),
        "series": artists,
        "labels": [_text(label) for label in labels[:MAX_LABELS]],
    }


def _axis(label: str, limits: Any, scale: str) -> dict[str, Any]:
    ends = [float(limit) for limit in limits]
    return {"label": _text(label), "range": [end if math.isfinite(end) else None for end in ends], "scale": _text(scale)}


def _text(value: Any) -> str:
    return " ".join(str(value).split())[:MAX_TEXT]
