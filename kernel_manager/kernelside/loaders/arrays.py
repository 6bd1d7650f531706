"""Arrays: NumPy, MATLAB, IDL, Matrix Market, safetensors."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable


def load_npy(source: Source, **options: Any) -> Any:
    """The array. Options are those of ``numpy.load``; ``allow_pickle=True`` opens arrays of Python objects."""
    import numpy as np

    if source.compression:
        return _loaded(np.load, io.BytesIO(source.read()), options)
    return _loaded(np.load, source.path, options)


def load_npz(source: Source, **options: Any) -> dict[str, Any]:
    """The arrays by name. Options are those of ``numpy.load``."""
    import numpy as np

    with zipfile.ZipFile(source.for_reader()) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_UNPACKED:
        raise Unreadable(f"its arrays have more than {MAX_UNPACKED >> 20} MB; open it from as_='path'")
    with _loaded(np.load, source.for_reader(), options) as arrays:
        return {name: _loaded(arrays.__getitem__, name, {}) for name in arrays.files}


def _loaded(load: Any, what: Any, options: dict[str, Any]) -> Any:
    try:
        return load(what, **options)
    except ValueError as exc:
        if "allow_pickle" in str(exc):
            raise Unreadable("it holds Python objects; allow_pickle=True opens them (that runs code of whoever made it)") from exc
        raise


def load_matlab(source: Source, **options: Any) -> dict[str, Any]:
    """The variables by name. Options are those of ``scipy.io.loadmat``. Files of version 7.3 are HDF5 and open as such."""
    if b"\x89HDF\r\n\x1a\n" in source.head[:520]:
        from .hierarchies import load_hdf5

        return {name: value for name, value in load_hdf5(source).items() if not name.startswith("/#")}
    import scipy.io

    variables = scipy.io.loadmat(io.BytesIO(source.read()), **{"squeeze_me": True, "simplify_cells": True, **options})
    found = {name: value for name, value in variables.items() if not name.startswith("__")}
    if not found:
        raise Unreadable("it holds no variables")
    return found


def load_idl(source: Source) -> dict[str, Any]:
    """The variables by name."""
    import scipy.io

    with source.file() as path:
        return dict(scipy.io.readsav(path, python_dict=True))


def load_matrix_market(source: Source) -> Any:
    """A sparse matrix of SciPy (COO), or an array if it is dense."""
    import scipy.io

    text = source.read()
    lines = [line for line in text[:65536].split(b"\n")[1:] if line.strip() and not line.startswith(b"%")]
    try:
        sides = [int(number) for number in lines[0].split()] if lines else []
    except ValueError as exc:
        raise Unreadable("its line of dimensions is no numbers") from exc
    if len(sides) == 2 and sides[0] * sides[1] * 2 > len(text):
        raise Unreadable(f"it promises {sides[0]} × {sides[1]} numbers and is too short for them")
    return scipy.io.mmread(io.BytesIO(text))


def load_safetensors(source: Source) -> dict[str, Any]:
    """The tensors by name; bfloat16 becomes float32."""
    import json
    import struct

    import numpy as np

    data = source.read()
    (size,) = struct.unpack_from("<Q", data)
    if size + 8 > len(data):
        raise Unreadable("its header goes beyond its end")
    header = json.loads(data[8 : 8 + size])
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if not any(entry["dtype"] == "BF16" for entry in tensors.values()):
        from safetensors.numpy import load

        return dict(load(data))
    found = {}
    for name, entry in tensors.items():
        first, last = entry["data_offsets"]
        raw = data[8 + size + first : 8 + size + last]
        found[name] = _tensor(np, raw, entry).reshape(entry["shape"])
    return found


def _tensor(np: Any, raw: bytes, entry: dict[str, Any]) -> Any:
    if entry["dtype"] == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    kinds = {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "I64": "<i8",
        "I32": "<i4",
        "I16": "<i2",
        "I8": "i1",
        "U8": "u1",
        "BOOL": "?",
    }
    if entry["dtype"] not in kinds:
        raise Unreadable(f"NumPy has no type for its {entry['dtype']}")
    return np.frombuffer(raw, kinds[entry["dtype"]])
