"""SVG drawings, as pictures. Nothing that they refer to is fetched."""

from __future__ import annotations

import io
import re
from typing import Any

from .source import Source, Unreadable

_MAX_SIDE = 4096
_ENTITIES = re.compile(r"<!ENTITY", re.IGNORECASE)
_MAX_ENTITIES = 200


def load_svg(source: Source, *, width: int | None = None) -> Any:
    """A ``PIL.Image.Image`` of the drawing, ``width`` pixels wide; ``as_='text'`` gives its source."""
    import resvg_py
    from PIL import Image

    text = source.text()
    if len(_ENTITIES.findall(text)) > _MAX_ENTITIES:
        raise Unreadable("it declares too many entities; as_='text' gives its text")
    if width is not None and not 0 < width <= _MAX_SIDE:
        raise Unreadable(f"width= is to be from 1 to {_MAX_SIDE}")
    try:
        data = resvg_py.svg_to_bytes(svg_string=text, dpi=96, **({"width": width} if width else {}))
    except ValueError as exc:
        raise Unreadable(f"it cannot be drawn: {str(exc).splitlines()[0]}") from exc
    image = Image.open(io.BytesIO(bytes(data)))
    image.load()
    return image
