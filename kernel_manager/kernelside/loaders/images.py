"""Raster images."""

from __future__ import annotations

import io
import warnings
from typing import Any

from .source import Source, Unreadable

_BITS_PER_SAMPLE = 258


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
    if _has_more_bits(source, image):
        source.note("its 16 bits for each colour were reduced to 8")
    return image if frames > 1 else _upright(source, image)


def _upright(source: Source, image: Any) -> Any:
    """The image as a person sees it: cameras write down how they were held instead of turning what they take."""
    from PIL import ExifTags, ImageOps

    if image.getexif().get(ExifTags.Base.Orientation, 1) not in range(2, 9):
        return image
    turned = ImageOps.exif_transpose(image)
    turned.format = image.format
    source.note("it was turned as its EXIF data says")
    return turned


def _has_more_bits(source: Source, image: Any) -> bool:
    """Whether Pillow gives a colour image of 16 bits as one of 8, as it does without a word."""
    if image.mode not in ("RGB", "RGBA", "CMYK"):
        return False
    if image.format == "PNG":
        return source.head[24:25] == b"\x10"
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, ()) if image.format == "TIFF" else ()
    return any(value > 8 for value in bits)


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
