"""Images that Pillow does not read: HEIF, cameras' raw files, JPEG XL and XR."""

from __future__ import annotations

import io
import struct
from typing import Any

from .source import Source, Unreadable

_MAX_PIXELS = 200_000_000
_JPEG_XR = b"II\xbc"
#: Tags of the file format of JPEG XR (ITU-T T.832, annex A).
_IMAGE_OFFSET, _IMAGE_BYTES = 0xBCC0, 0xBCC1
_MAX_ENTRIES = 100


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

    data = source.read()
    if not source.head.startswith(_JPEG_XR):
        return imagecodecs.jpegxl_decode(data)
    if (missing := _end_of_image(data) - len(data)) > 0:
        raise Unreadable(f"it is cut off: the last {missing:,} bytes are missing")
    return imagecodecs.jpegxr_decode(data)


def _end_of_image(data: bytes) -> int:
    """Where the coded image of a JPEG XR file ends, as its directory (one of TIFF's) says; 0 if it does not say."""
    try:
        (at,) = struct.unpack_from("<I", data, 4)
        (count,) = struct.unpack_from("<H", data, at)
        entries: dict[int, int] = dict(
            struct.unpack_from("<H6xI", data, at + 2 + 12 * number) for number in range(min(count, _MAX_ENTRIES))
        )
    except struct.error:
        return len(data) + 1
    return entries.get(_IMAGE_OFFSET, 0) + entries.get(_IMAGE_BYTES, 0)


def _check_size(width: int, height: int) -> None:
    if width * height > _MAX_PIXELS:
        raise Unreadable(f"it has {width} × {height} pixels; open it from as_='path' if you trust it")
