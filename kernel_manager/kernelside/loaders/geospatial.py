"""Vector data: what GDAL reads, as GeoDataFrames."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable
from .structured import is_json

_MAX_NAMED = 20
_SIDECARS = (".dbf", ".shx", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".mid")


def load_vector(source: Source, **options: Any) -> Any:
    """A GeoDataFrame of the first layer, or of ``layer=``. Options are those of ``geopandas.read_file``."""
    if source.head.lstrip().startswith(b"<"):
        _check_xml(source)
    elif source.extension in (".geojsonl", ".geojsonseq"):
        _check_lines(source)
    with source.file(source.extension) as path:
        return _read(source, path, options)


def _check_xml(source: Source) -> None:
    """GDAL takes what comes before the damage for the whole."""
    from xml.parsers import expat

    try:
        expat.ParserCreate().Parse(source.read(), True)
    except expat.ExpatError as exc:
        raise Unreadable(f"it is not whole XML: {exc}") from exc


def _check_lines(source: Source) -> None:
    """GDAL leaves out lines that are no JSON."""
    for number, line in enumerate(source.text().replace("\x1e", "").split("\n"), 1):
        if line.strip() and not is_json(line):
            raise Unreadable(f"line {number} is not JSON")


def load_geojson(source: Source, **options: Any) -> Any:
    """A GeoDataFrame; a single geometry without properties is one, too."""
    with source.file(".geojson") as path:
        return _read(source, path, options)


def load_gpx(source: Source, **options: Any) -> Any:
    """A GeoDataFrame of the track points, else of the route's or the waypoints; ``layer=`` chooses."""
    _check_xml(source)
    with source.file(".gpx") as path:
        return _read(source, path, options, preferred=("track_points", "route_points", "waypoints"))


def load_osm(source: Source, **options: Any) -> Any:
    """A GeoDataFrame of the points; ``layer='lines'``, ``'multipolygons'`` … gives the others."""
    binary = b"OSMHeader" in source.head[:32]
    if not binary:
        _check_xml(source)
    with source.file(".pbf" if binary else ".osm") as path:
        return _read(source, path, options, preferred=("points", "lines", "multipolygons"))


def load_kmz(source: Source, **options: Any) -> Any:
    """A GeoDataFrame of the KML in it."""
    with zipfile.ZipFile(io.BytesIO(source.read())) as archive, TemporaryDirectory(prefix="load-") as folder:
        inner = next((info for info in archive.infolist() if info.filename.lower().endswith(".kml")), None)
        if inner is None:
            raise Unreadable("it holds no KML")
        if inner.file_size > MAX_UNPACKED:
            raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB")
        path = Path(folder, "doc.kml")
        path.write_bytes(archive.read(inner))
        return _read(source, str(path), options)


def load_shapefile(source: Source, **options: Any) -> Any:
    """A GeoDataFrame of a zipped shapefile, or of a ``.shp`` with its other files beside it."""
    if not source.head.startswith(b"PK"):
        return _load_shp(source, options)
    with zipfile.ZipFile(io.BytesIO(source.read())) as archive, TemporaryDirectory(prefix="load-") as folder:
        if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
            raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB")
        shapes = [name for name in archive.namelist() if name.lower().endswith(".shp")]
        if not shapes:
            raise Unreadable("it holds no .shp")
        archive.extractall(folder)
        if len(shapes) > 1:
            source.note(f"this is {shapes[0]}; others: {', '.join(shapes[1:_MAX_NAMED])}")
        return _read(source, str(Path(folder, shapes[0])), options)


def _load_shp(source: Source, options: dict[str, Any]) -> Any:
    found = [suffix for suffix in _SIDECARS if source.path.with_suffix(suffix).exists()]
    if not found:
        source.note(
            "it came without its .dbf and .prj, which hold attributes and coordinate system; hand in a zip of all its files"
        )
    # Without an index beside it, GDAL makes one, and in memory only if it is told to.
    os.environ["SHAPE_RESTORE_SHX"] = "YES"
    with TemporaryDirectory(prefix="load-") as folder:
        for suffix in found:
            Path(folder, f"shape{suffix}").symlink_to(source.path.with_suffix(suffix))
        Path(folder, "shape.shp").write_bytes(source.read())
        return _read(source, str(Path(folder, "shape.shp")), options)


def load_wkt(source: Source) -> Any:
    """A geometry of Shapely; of several lines a GeoSeries."""
    import shapely

    lines = [
        line.partition(";")[2] if line.upper().startswith("SRID=") else line
        for line in source.text().splitlines()
        if line.strip()
    ]
    try:
        geometries = (
            [shapely.from_wkt(" ".join(lines))]
            if lines and lines[0].count("(") != lines[0].count(")")
            else list(shapely.from_wkt(lines))
        )
    except shapely.errors.GEOSException as exc:
        raise Unreadable(f"it is no well-known text: {exc}") from exc
    if len(geometries) == 1:
        return geometries[0]
    import geopandas

    return geopandas.GeoSeries(geometries)


def load_wkb(source: Source) -> Any:
    """A geometry of Shapely. The file may be hexadecimal digits, too."""
    import shapely

    data = source.read()
    text = data.strip().decode("ascii", "replace")
    try:
        return shapely.from_wkb(text if text.isalnum() else data)
    except shapely.errors.GEOSException as exc:
        raise Unreadable(f"it is no well-known binary: {exc}") from exc


def _read(source: Source, path: str, options: dict[str, Any], preferred: tuple[str, ...] = ()) -> Any:
    import geopandas
    import pyogrio

    if "layer" in options:
        return geopandas.read_file(path, **options)
    layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
    if not layers:
        raise Unreadable("it has no layers")
    candidates = [name for name in preferred if name in layers] or layers[:1]
    # Of the layers that a format always has, the first with something in it.
    filled = (name for name in candidates if len(geopandas.read_file(path, layer=name, **{**options, "rows": 1})))
    layer = next(filled, candidates[0])
    frame = geopandas.read_file(path, layer=layer, **options)
    others = [name for name in layers if name != layer]
    if others:
        source.note(f"this is layer {layer!r}; others: {', '.join(map(repr, others[:_MAX_NAMED]))} (layer=… opens one)")
    return frame
