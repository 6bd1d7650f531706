"""Samples of types whose packages are not in the base environment: they come from where users' packages are installed."""

from __future__ import annotations

import importlib
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from registry import sample

PICTURE = np.arange(48 * 64 * 3, dtype="uint32").reshape(48, 64, 3).astype("uint8")
NUMBERS = np.arange(6).reshape(2, 3)


@sample("duckdb ddb", lambda frame: (list(frame.a), list(frame.b)) == ([1, 2], ["x", "y"]))
def duckdb_database(path: Path) -> None:
    import duckdb

    with closing(duckdb.connect(str(path))) as connection:
        connection.execute("CREATE TABLE t AS SELECT * FROM (VALUES (1, 'x'), (2, 'y')) AS rows(a, b)")


def _arrays_and_a_dataset(tree: Any) -> bool:
    """Arrays alone come by path; a store of xarray's comes as its dataset."""
    load_zarr = importlib.import_module("kernelside.loaders.hierarchies").load_zarr
    source = importlib.import_module("kernelside.loaders.source").Source
    dataset = load_zarr(source(zarr_dataset(Path("dataset.zarr").absolute()), "dataset.zarr"))
    return np.array_equal(tree["/numbers"], NUMBERS) and np.array_equal(dataset.t, NUMBERS) and list(dataset.x) == [10, 20]


def zarr_dataset(path: Path) -> Path:
    import xarray
    import zarr.storage

    with closing(zarr.storage.ZipStore(path, mode="w")) as store:
        xarray.Dataset({"t": (("x", "y"), NUMBERS)}, {"x": [10, 20]}).to_zarr(store, consolidated=False)
    return path


@sample("zarr", _arrays_and_a_dataset)
def zipped_zarr(path: Path) -> None:
    import zarr
    import zarr.storage

    with closing(zarr.storage.ZipStore(path, mode="w")) as store:
        zarr.create_group(store=store).create_array("numbers", data=NUMBERS)


@sample("jxl", lambda picture: np.array_equal(picture, PICTURE))
def jpeg_xl(path: Path) -> None:
    import imagecodecs

    path.write_bytes(imagecodecs.jpegxl_encode(PICTURE, lossless=True))


def _alike(picture: Any) -> bool:
    return picture.shape == PICTURE.shape and float(np.abs(picture.astype(int) - PICTURE).mean()) < 8


@sample("jxr wdp hdp", _alike)
def jpeg_xr(path: Path) -> None:
    import imagecodecs

    path.write_bytes(imagecodecs.jpegxr_encode(PICTURE, level=1.0))
