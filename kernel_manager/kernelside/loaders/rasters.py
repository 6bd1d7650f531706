"""Raster maps, as xarray with coordinates."""

from __future__ import annotations

import io
import math
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable


def load_geotiff(source: Source) -> Any:
    """A DataArray with x and y of the pixels' centres; the coordinate system's keys are in ``.attrs``."""
    import numpy as np
    import tifffile
    import xarray

    with tifffile.TiffFile(io.BytesIO(source.read())) as file:
        page = file.pages[0]
        if page.size * page.dtype.itemsize > MAX_UNPACKED:
            raise Unreadable(f"its pixels have more than {MAX_UNPACKED >> 20} MB")
        try:
            pixels = page.asarray()
        except ValueError as exc:
            if "imagecodecs" in str(exc):
                raise ModuleNotFoundError(str(exc), name="imagecodecs") from exc
            raise
        keys = dict(page.geotiff_tags or {})
        nodata = page.tags.get("GDAL_NODATA")
    planar_first = pixels.ndim == 3 and page.planarconfig == 2
    dimensions = ("y", "x") if pixels.ndim == 2 else ("band", "y", "x") if planar_first else ("y", "x", "band")
    array = xarray.DataArray(pixels, dims=dimensions)
    scale, tie = keys.get("ModelPixelScale"), keys.get("ModelTiepoint")
    if scale and tie:
        height, width = array.sizes["y"], array.sizes["x"]
        array = array.assign_coords(
            x=tie[3] + (np.arange(width) - tie[0] + 0.5) * scale[0], y=tie[4] - (np.arange(height) - tie[1] + 0.5) * scale[1]
        )
    array.attrs = {name: value for name, value in keys.items() if not isinstance(value, np.ndarray)}
    if nodata is not None:
        array.attrs["nodata"] = float(nodata.value)
    return array


def load_ascii_grid(source: Source) -> Any:
    """A DataArray with x and y of the cells' centres; missing cells are NaN."""
    import numpy as np
    import xarray

    header: dict[str, float] = {}
    lines = source.text().split("\n")
    for line in lines[:7]:
        words = line.split()
        if len(words) != 2 or not words[0][0].isalpha():
            break
        try:
            header[words[0].lower()] = float(words[1])
        except ValueError as exc:
            raise Unreadable(f"its header line {line[:60]!r} has no number") from exc
    if not {"ncols", "nrows", "cellsize"} <= header.keys() or not all(math.isfinite(value) for value in header.values()):
        raise Unreadable("its header does not give ncols, nrows and cellsize")
    width, height, size = int(header["ncols"]), int(header["nrows"]), header["cellsize"]
    values = np.array(" ".join(lines[len(header) :]).split(), dtype="float64")
    if values.size != width * height:
        raise Unreadable(f"its header promises {height} × {width} cells and it has {values.size}")
    values[values == header.get("nodata_value", math.nan)] = math.nan
    left = header.get("xllcorner", header.get("xllcenter", 0.0) - size / 2)
    bottom = header.get("yllcorner", header.get("yllcenter", 0.0) - size / 2)
    x = left + (np.arange(width) + 0.5) * size
    y = bottom + (height - np.arange(height) - 0.5) * size
    return xarray.DataArray(values.reshape(height, width), dims=("y", "x"), coords={"x": x, "y": y}, attrs={"cellsize": size})


def load_srtm(source: Source) -> Any:
    """A DataArray of heights in metres; voids are NaN. The tile's name (``N47E011``) gives latitude and longitude."""
    import re

    import numpy as np
    import xarray

    heights = np.frombuffer(source.read(), dtype=">i2")
    side = math.isqrt(heights.size)
    if side * side != heights.size or side < 2:
        raise Unreadable("it has not the size of a square tile")
    values = np.where(heights == -32768, math.nan, heights).reshape(side, side)
    array = xarray.DataArray(values, dims=("lat", "lon"), name="elevation", attrs={"units": "m"})
    corner = re.search(r"([NS])(\d{2})([EW])(\d{3})", source.name.upper())
    if corner is None:
        source.note("its name is not that of a tile (N47E011.hgt), so it has no coordinates")
        return array
    south = int(corner[2]) * (1 if corner[1] == "N" else -1)
    west = int(corner[4]) * (1 if corner[3] == "E" else -1)
    return array.assign_coords(lat=np.linspace(south + 1, south, side), lon=np.linspace(west, west + 1, side))
