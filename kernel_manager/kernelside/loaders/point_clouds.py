"""Point clouds."""

from __future__ import annotations

import io
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable

_KINDS = {("F", 4): "<f4", ("F", 8): "<f8", ("I", 1): "i1", ("I", 2): "<i2", ("I", 4): "<i4", ("I", 8): "<i8",
          ("U", 1): "u1", ("U", 2): "<u2", ("U", 4): "<u4", ("U", 8): "<u8"}  # fmt: skip


def load_las(source: Source) -> Any:
    """A DataFrame of the points, x, y and z scaled; header values in ``.attrs``."""
    import laspy
    import numpy as np
    import pandas as pd

    data = source.read()
    with laspy.open(io.BytesIO(data)) as file:
        header = file.header
        size = header.point_count * header.point_format.size
        if size > MAX_UNPACKED:
            raise Unreadable(
                f"its {header.point_count:,} points have more than {MAX_UNPACKED >> 20} MB; laspy reads parts of them"
            )
        if not header.are_points_compressed and header.offset_to_point_data + size > len(data):
            raise Unreadable(f"it promises {header.point_count:,} points and is too short for them")
        points = file.read()
    columns = {name: np.asarray(points[name]) for name in ("x", "y", "z")}
    columns |= {name: np.asarray(points[name]) for name in points.point_format.dimension_names if name not in ("X", "Y", "Z")}
    frame = pd.DataFrame({name: values for name, values in columns.items() if values.ndim == 1})
    if len(frame) < header.point_count:
        source.note(f"it promises {header.point_count:,} points and has {len(frame):,}: the file may be cut off")
    frame.attrs = {
        "version": str(header.version),
        "point_format": header.point_format.id,
        "scales": list(header.scales),
        "offsets": list(header.offsets),
    }
    return frame


def load_pcd(source: Source) -> Any:
    """A DataFrame of the points of a PCL file, ASCII or plain binary."""
    import numpy as np
    import pandas as pd

    data = source.read()
    header, start = _pcd_header(data)
    try:
        names = header["FIELDS"]
        kinds = [_KINDS[kind, int(size)] for kind, size in zip(header["TYPE"], header["SIZE"], strict=True)]
        counts = [int(count) for count in header.get("COUNT", ["1"] * len(names))]
        points = int(header["POINTS"][0])
    except (KeyError, ValueError, IndexError) as exc:
        raise Unreadable(f"its header is damaged ({exc})") from exc
    if any(count != 1 for count in counts):
        raise Unreadable("its fields have several values each, which is not supported")
    if header["DATA"] == ["ascii"]:
        frame = pd.read_csv(io.BytesIO(data[start:]), sep=" ", names=names, nrows=points).astype(
            dict(zip(names, kinds, strict=True))
        )
    elif header["DATA"] == ["binary"]:
        record = np.dtype(list(zip(names, kinds, strict=True)))
        if points < 0 or points * record.itemsize > len(data) - start:
            raise Unreadable(f"it promises {points:,} points and is too short for them")
        frame = pd.DataFrame(np.frombuffer(data, record, points, start))
    else:
        raise Unreadable("its points are compressed, which is not supported")
    if len(frame) != points:
        raise Unreadable(f"it promises {points:,} points and has {len(frame):,}")
    return frame


def _pcd_header(data: bytes) -> tuple[dict[str, list[str]], int]:
    header: dict[str, list[str]] = {}
    at = 0
    for _ in range(20):
        line, newline, _ = data[at : at + 1000].partition(b"\n")
        at += len(line) + len(newline)
        words = line.decode("latin-1").split()
        if words and words[0] != "#":
            header[words[0]] = words[1:]
        if words[:1] == ["DATA"]:
            return header, at
    raise Unreadable("its header has no end")
