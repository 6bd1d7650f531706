"""Images that Pillow does not read: HEIF, cameras' raw files, JPEG XL and XR."""

from __future__ import annotations

import io
from typing import Any

from .source import Source, Unreadable

_MAX_PIXELS = 200_000_000


def load_heif(source: Source) -> Any:
    """A ``PIL.Image.Image`` of the main image."""
    import pillow_heif

    file = pillow_heif.open_heif(io.BytesIO(source.read()), convert_hdr_to_8bit=True)
    _check_size(*file.size)
    if len(file) > 1:
        source.note(f"it has {len(file)} images and shows the main one; pillow_heif.open_heif opens the others")
    return file.to_pillow()


def load_raw(source: Source, **options: Any) -> Any:
    """A ``PIL.Image.Image``, developed with the camera's white balance. Options are those of ``rawpy.RawPy.postprocess``."""
    import rawpy
    from PIL import Image

    with rawpy.imread(io.BytesIO(source.read())) as raw:
        _check_size(raw.sizes.raw_width, raw.sizes.raw_height)
        pixels = raw.postprocess(**{"use_camera_wb": True, **options})
    source.note("it was developed with default settings; rawpy.imread(load_file(…, as_='path')) gives the sensor's values")
    return Image.fromarray(pixels) if pixels.dtype == "uint8" else pixels


def load_with_imagecodecs(source: Source) -> Any:
    """A NumPy array of the pixels."""
    import imagecodecs

    decode = imagecodecs.jpegxl_decode if not source.head.startswith(b"II\xbc") else imagecodecs.jpegxr_decode
    return decode(source.read())


def _check_size(width: int, height: int) -> None:
    if width * height > _MAX_PIXELS:
        raise Unreadable(f"it has {width} × {height} pixels; open it from as_='path' if you trust it")
