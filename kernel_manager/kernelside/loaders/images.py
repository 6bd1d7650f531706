"""Raster images."""

from __future__ import annotations

import io
import warnings
from typing import Any

from .source import Source, Unreadable


def load_image(source: Source) -> Any:
    """A ``PIL.Image.Image``, decoded, with no file left open. Of several frames it shows the first; ``seek`` shows others.

    TIFF files of sciences, which Pillow does not read, give a NumPy array.
    """
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(source.read()))
            # Decoding now makes damage an error here and not in the person's next line.
            image.load()
        except UnidentifiedImageError as exc:
            if source.head[:2] in (b"II", b"MM"):
                return _load_tiff_array(source)
            raise Unreadable("Pillow knows no such image") from exc
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as exc:
            limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels (PIL.Image.MAX_IMAGE_PIXELS)"
            raise Unreadable(f"it has more than {limit}; open it from as_='path' if you trust it") from exc
        frames = getattr(image, "n_frames", 1)
    if frames > 1:
        source.note(f"it has {frames} frames and shows the first; .seek(1) shows the next")
    return image


def _load_tiff_array(source: Source) -> Any:
    from . import limited

    return limited.load("images:load_tiff_array", source, {})


def load_tiff_array(source: Source) -> Any:
    """A NumPy array of the first series of a TIFF file."""
    import tifffile

    from .source import MAX_UNPACKED

    with tifffile.TiffFile(io.BytesIO(source.read())) as file:
        if not file.series:
            raise Unreadable("it holds no image")
        if (size := file.series[0].size * file.series[0].dtype.itemsize) > MAX_UNPACKED:
            raise Unreadable(f"its pixels have {size >> 20} MB; tifffile.TiffFile(load_file(…, as_='path')) reads parts")
        try:
            pixels = file.series[0].asarray()
        except ValueError as exc:
            if "imagecodecs" in str(exc):
                raise ModuleNotFoundError(str(exc), name="imagecodecs") from exc
            raise
    source.note("Pillow does not read this kind of TIFF: these are its pixels as a NumPy array")
    return pixels
