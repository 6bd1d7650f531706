"""Files that hold a tree of arrays: HDF5, netCDF, Zarr, ROOT."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable

#: Bytes of one array that is read; a larger one is left out, and that is said.
MAX_ARRAY = 256 << 20
_MAX_OBJECTS = 20_000
_MAX_SAID = 5


class Tree(dict[str, Any]):
    """Arrays by their path; ``attrs`` has the attributes of groups and arrays by theirs."""

    attrs: dict[str, dict[str, Any]]

    def __init__(self, *arguments: Any, **names: Any) -> None:
        super().__init__(*arguments, **names)
        self.attrs = {}


def load_hdf5(source: Source, *, name: str | None = None) -> Any:
    """The arrays by path, with ``.attrs``; ``name=`` gives one array. Objects beyond the size that fits are left out and said."""
    import h5py

    with source.file() as path, h5py.File(path, "r") as file:
        if name is not None:
            if name not in file:
                raise Unreadable(f"it has no {name!r}; it has: {', '.join(list(file)[:20])}")
            return file[name][()]
        return _hdf5_tree(source, file)


def _hdf5_tree(source: Source, file: Any) -> Tree:
    import h5py

    tree, left_out, room = Tree(), [], MAX_UNPACKED
    tree.attrs["/"] = _attributes(file)

    def visit(path: str, item: Any) -> None:
        nonlocal room
        if len(tree) + len(tree.attrs) > _MAX_OBJECTS:
            raise Unreadable(f"it has more than {_MAX_OBJECTS} objects; open it with h5py from as_='path'")
        if attributes := _attributes(item):
            tree.attrs[f"/{path}"] = attributes
        if not isinstance(item, h5py.Dataset):
            return
        size = item.size * item.dtype.itemsize if item.size else 0
        if size > min(MAX_ARRAY, room):
            left_out.append(f"/{path} ({size >> 20} MB)")
            return
        room -= size
        tree[f"/{path}"] = _content(item)

    file.visititems(visit)
    if left_out:
        source.note(
            f"left out as too large: {', '.join(left_out[:_MAX_SAID])}; h5py.File(load_file(…, as_='path')) reads parts of them"
        )
    return tree


def _content(item: Any) -> Any:
    import h5py

    if h5py.check_string_dtype(item.dtype) is not None:
        return item.asstr(errors="replace")[()]
    value = item[()]
    # References point into a file that is closed now.
    return [str(entry) for entry in value.ravel()] if item.dtype == object and h5py.check_ref_dtype(item.dtype) else value


def _attributes(item: Any) -> dict[str, Any]:
    found = {}
    for name in item.attrs:
        try:
            found[name] = item.attrs[name]
        except (OSError, TypeError) as exc:
            found[name] = f"cannot be read: {exc}"
    return found


def load_netcdf(source: Source, **options: Any) -> Any:
    """An xarray ``Dataset``, in memory. Options are those of ``xarray.open_dataset`` (``group=``, ``decode_times=`` …)."""
    import xarray

    classic = source.head.startswith(b"CDF")
    engine = {"engine": "scipy" if classic else "h5netcdf"}
    if classic and (missing := _missing_bytes(source)):
        raise Unreadable(missing)
    with source.file() as path, xarray.open_dataset(path, **{**engine, **options}) as dataset:
        if dataset.nbytes > MAX_UNPACKED:
            raise Unreadable(
                f"its variables have {dataset.nbytes >> 20} MB; xarray.open_dataset(load_file(…, as_='path')) reads parts"
            )
        loaded = dataset.load()
        loaded.encoding.pop("source", None)
        return loaded


def _missing_bytes(source: Source) -> str:
    """What is wrong when SciPy would take zeros for what a classic file does not have any more."""
    from scipy.io import netcdf_file

    data = source.read()
    with netcdf_file(io.BytesIO(data), mmap=False) as file:
        sizes = [variable.data.nbytes for variable in file.variables.values()]
    return f"its variables need {sum(sizes)} bytes and it has {len(data)}" if sum(sizes) > len(data) else ""


def load_zarr(source: Source) -> Any:
    """An xarray ``Dataset`` if the store describes one, else its arrays by path."""
    import zarr

    with TemporaryDirectory(prefix="load-") as folder:
        root = _unzipped(source, Path(folder))
        group = zarr.open(str(root), mode="r")
        if not hasattr(group, "arrays"):
            return group[...]
        if _is_dataset(group):
            import xarray

            return xarray.open_dataset(root, engine="zarr", consolidated=False).load()
        tree = Tree({f"/{path}": array[...] for path, array in _zarr_arrays(group)})
        tree.attrs = {"/": dict(group.attrs)}
        return tree


def _is_dataset(group: Any) -> bool:
    """Whether the arrays of a store name their dimensions, as xarray wants it."""
    arrays = [array for _, array in group.arrays()]
    return bool(arrays) and all("_ARRAY_DIMENSIONS" in array.attrs or any(_dimensions(array)) for array in arrays)


def _dimensions(array: Any) -> tuple[Any, ...]:
    return tuple(getattr(array.metadata, "dimension_names", None) or ())


def _zarr_arrays(group: Any, prefix: str = "") -> Any:
    for name, array in group.arrays():
        yield f"{prefix}{name}", array
    for name, inner in group.groups():
        yield from _zarr_arrays(inner, f"{prefix}{name}/")


def _unzipped(source: Source, folder: Path) -> Path:
    with zipfile.ZipFile(source.for_reader()) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
            raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB")
        archive.extractall(folder)
    markers = {".zgroup", ".zarray", "zarr.json"}
    for parent, _, files in os.walk(folder):
        if markers & set(files):
            return Path(parent)
    raise Unreadable("it holds no Zarr store")


def load_root(source: Source, *, name: str | None = None) -> Any:
    """A DataFrame of the only tree; of several objects a dict: trees as DataFrames, histograms as arrays. ``name=`` picks one."""
    import uproot

    with source.file() as path, uproot.open(path) as file:
        names = [key.partition(";")[0] for key in file.keys(recursive=True)]
        chosen = [name] if name is not None else list(dict.fromkeys(names))
        if name is not None and name not in names:
            raise Unreadable(f"it has no {name!r}; it has: {', '.join(dict.fromkeys(names))[:300]}")
        objects = {each: _root_object(file[each]) for each in chosen}
    return next(iter(objects.values())) if len(objects) == 1 else objects


def _root_object(item: Any) -> Any:
    import pandas as pd

    if hasattr(item, "arrays"):
        arrays = item.arrays(library="np")
        return pd.DataFrame({name: list(array) if array.ndim > 1 else array for name, array in arrays.items()})
    return item.to_numpy() if hasattr(item, "to_numpy") else str(item)
