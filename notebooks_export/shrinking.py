"""Figures made smaller: fewer pixels, fewer colours. The pictures are a stranger's; what cannot be opened stays as it is."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from dataclasses import dataclass

from PIL import Image

#: Kinds that can be made smaller, and the name of their format.
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
#: A picture of more is not opened: a small file can be a huge picture.
_MAX_PIXELS = 12_000_000
_COLOURS = 128
_QUALITY = 70


@dataclass(frozen=True, slots=True)
class Smaller:
    """A picture with fewer bytes: its base64 text, and the size in pixels that it had before."""

    text: str
    width: int
    height: int


def smaller(mime: str, text: str, longest_side: int) -> Smaller | None:
    """The picture at most ``longest_side`` pixels wide and high; None if that cannot be or saves nothing."""
    if mime not in _FORMATS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(base64.b64decode(text)), formats=[_FORMATS[mime]]) as image:
                width, height = image.size
                if width * height > _MAX_PIXELS or getattr(image, "is_animated", False):
                    return None
                content = _encoded(image, _FORMATS[mime], longest_side)
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    made = base64.b64encode(content).decode()
    return Smaller(made, width, height) if len(made) < 0.9 * len(text) else None


def _encoded(image: Image.Image, form: str, longest_side: int) -> bytes:
    stream = io.BytesIO()
    if form == "PNG":
        found = image.convert("RGBA")
        found.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        found.quantize(_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(stream, form, optimize=True)
    else:
        found = image.convert("RGB")
        found.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        found.save(stream, form, quality=_QUALITY)
    return stream.getvalue()
