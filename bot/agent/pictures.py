"""Pictures for models: taken out of outputs, scaled down, or described."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image as Pillow

from bot.agent.items import Image
from bot.agent.marking import one_line

#: Kinds that every vision model takes, the best first.
MIMES = ("image/png", "image/jpeg", "image/webp", "image/gif")
OTHER_MIMES = ("image/svg+xml", "application/pdf")
#: A picture of more is not opened: a small file can be a huge picture.
MAX_PIXELS = 40_000_000
MAX_BYTES = 32 * 2**20
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of an output. ``content`` is None for a kind that no model takes."""

    mime: str
    content: bytes | None
    description: str


def pictures_of(outputs: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Return the pictures of a cell's outputs, in order; without those of formulas, whose text says as much."""
    shown = (output for output in outputs if "text/latex" not in _mapping(output.get("data")))
    found = (picture_of(output.get("data"), output.get("metadata")) for output in shown)
    return [picture for picture in found if picture is not None]


def picture_of(data: Any, metadata: Any) -> Picture | None:
    """Return the picture of a mime bundle, or None if it has none."""
    if not isinstance(data, Mapping):
        return None
    description = describe(metadata)
    for mime in MIMES:
        if mime in data and (content := _decoded(data[mime])):
            return Picture(mime, content, description)
    other = next((mime for mime in OTHER_MIMES if mime in data), None)
    return None if other is None else Picture(other, None, description)


async def for_model(picture: Picture, longest_side: int) -> Image | None:
    """Return the picture as a model gets it, at most ``longest_side`` pixels wide and high; None if it cannot be opened."""
    if picture.content is None or len(picture.content) > MAX_BYTES:
        return None
    # in a thread: decoding takes milliseconds in which nobody else should wait
    scaled = await asyncio.to_thread(scale, picture.content, picture.mime, longest_side)
    return None if scaled is None else Image(scaled[0], scaled[1], picture.description)


def scale(content: bytes, mime: str, longest_side: int) -> tuple[str, bytes] | None:
    """Return kind and bytes of a picture no larger than that; as it is if it is small enough, else as PNG or JPEG."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(content), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                if max(image.size) <= longest_side:
                    return mime, content
                image.draft("RGB", (longest_side, longest_side))
                smaller = _flat(image)
                smaller.thumbnail((longest_side, longest_side), Pillow.Resampling.LANCZOS, reducing_gap=2.0)
                return _encoded(smaller, "JPEG" if image.format == "JPEG" else "PNG")
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        return None


def _flat(image: Pillow.Image) -> Pillow.Image:
    """On white: a model shows a transparent figure as black on black."""
    if image.mode not in ("RGBA", "LA", "P", "PA"):
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Pillow.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _encoded(image: Pillow.Image, form: str) -> tuple[str, bytes]:
    stream = io.BytesIO()
    image.save(stream, form, optimize=False)
    return f"image/{form.lower()}", stream.getvalue()


def _decoded(value: Any) -> bytes:
    text = "".join(value) if isinstance(value, list) else value
    try:
        return base64.b64decode(text) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""


# What a figure shows, as the kernel read it from the axes.


def describe(metadata: Any) -> str:
    """Return what the kernel noted about a figure in a sentence or two; empty if it noted nothing."""
    note = _mapping(_mapping(_mapping(metadata).get("threadbook")).get("figure"))
    axes = note.get("axes")
    if not isinstance(axes, list) or not axes:
        return ""
    title = f"{_quoted(note.get('title'))}, " if note.get("title") else ""
    shown = "; ".join(_describe_axes(_mapping(entry)) for entry in axes[:12])
    return one_line(f"{title}{len(axes)} plot{'s' if len(axes) > 1 else ''}: {shown}", 1_500)


def saved_names(metadata: Any) -> set[str]:
    """Return the names of the files that a figure was saved as, as far as the kernel noted them."""
    saved = _mapping(_mapping(_mapping(metadata).get("threadbook")).get("figure")).get("saved")
    return {name for name in saved[:12] if isinstance(name, str)} if isinstance(saved, list) else set()


def _describe_axes(axes: Mapping[str, Any]) -> str:
    title = _quoted(axes["title"]) if axes.get("title") else "untitled"
    series = ", ".join(f"{count} {name}" for name, count in _mapping(axes.get("series")).items()) or "nothing drawn"
    labels = axes.get("labels")
    legend = f", legend {', '.join(map(_quoted, labels[:12]))}" if isinstance(labels, list) and labels else ""
    return f"{title} ({series}; {_describe_axis('x', axes)}; {_describe_axis('y', axes)}{legend})"


def _describe_axis(name: str, axes: Mapping[str, Any]) -> str:
    axis = _mapping(axes.get(name))
    label = f" {_quoted(axis['label'])}" if axis.get("label") else ""
    ends = axis.get("range")
    limits = f" {_number(ends[0])}…{_number(ends[1])}" if isinstance(ends, list) and len(ends) == 2 else ""
    scale = f" {one_line(str(axis['scale']), 20)}" if axis.get("scale") not in (None, "linear") else ""
    return f"{name}{label}{limits}{scale}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else "?"


def _quoted(value: Any) -> str:
    return f"“{one_line(str(value), 120)}”"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
