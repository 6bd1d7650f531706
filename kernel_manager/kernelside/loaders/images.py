"""Raster images."""

from __future__ import annotations

import io
import warnings
from typing import Any

from .source import Source, Unreadable


def load_image(source: Source) -> Any:
    """A ``PIL.Image.Image``, decoded, with no file left open. Of several frames it shows the first; ``seek`` shows others."""
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(source.read()))
            # Decoding now makes damage an error here and not in the person's next line.
            image.load()
        except UnidentifiedImageError as exc:
            raise Unreadable("Pillow knows no such image") from exc
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as exc:
            limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels (PIL.Image.MAX_IMAGE_PIXELS)"
            raise Unreadable(f"it has more than {limit}; open it from as_='path' if you trust it") from exc
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        source.note(f"it has {frames} frames and shows the first; .seek(1) shows the next")
    return image
