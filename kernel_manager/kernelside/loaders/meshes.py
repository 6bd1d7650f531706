"""3-D meshes and scenes."""

from __future__ import annotations

import io
import struct
from typing import Any

from .source import Source, Unreadable

_STL_TRIANGLE = 50
_FORMATS = {"vtk": "vtk", "vtu": "vtu", "msh": "gmsh", "inp": "abaqus", "mesh": "medit", "nas": "nastran", "fem": "nastran"}


def load_trimesh(source: Source) -> Any:
    """A trimesh object: a ``Trimesh``, a ``PointCloud`` or a ``Scene``."""
    import trimesh

    form = source.extension.lstrip(".")
    if form not in ("stl", "ply", "obj", "off", "gltf", "glb", "3mf"):
        form = _form(source)
    if form == "stl":
        _check_stl(source)
    data = source.read()
    loaded = trimesh.load(io.BytesIO(data), file_type=form, process=False)
    if getattr(loaded, "is_empty", False):
        raise Unreadable("it holds no geometry")
    _check_indices(loaded)
    return loaded


def _form(source: Source) -> str:
    head = source.head
    if head.startswith((b"ply", b"OFF", b"glTF", b"PK")):
        return {b"pl": "ply", b"OF": "off", b"gl": "glb", b"PK": "3mf"}[head[:2]]
    return "gltf" if head.lstrip().startswith(b"{") else "stl"


def _check_stl(source: Source) -> None:
    if source.head[:5] == b"solid" and source.encoding is not None:
        if "endsolid" not in source.text():
            raise Unreadable("it has no endsolid: the file is cut off")
        return
    data = source.read()
    if len(data) < 84:
        raise Unreadable("it ends within its header")
    (count,) = struct.unpack_from("<I", data, 80)
    if len(data) != 84 + count * _STL_TRIANGLE:
        raise Unreadable(f"it promises {count:,} triangles and has {(len(data) - 84) // _STL_TRIANGLE:,}")


def _check_indices(loaded: Any) -> None:
    for mesh in getattr(loaded, "geometry", {"": loaded}).values():
        faces = getattr(mesh, "faces", None)
        if faces is not None and len(faces) and not 0 <= faces.min() <= faces.max() < len(mesh.vertices):
            raise Unreadable("its faces refer to vertices that are not there")


def load_meshio(source: Source) -> Any:
    """A meshio ``Mesh``: points, cells, and the data on them."""
    import meshio

    form = _FORMATS.get(source.extension.lstrip(".")) or _told(source)
    with source.file(source.extension) as path:
        try:
            return meshio.read(path, file_format=form)
        except SystemExit as exc:  # meshio ends the program on what it does not know
            raise Unreadable("meshio cannot read it") from exc


def _told(source: Source) -> str:
    beginnings = ((b"# vtk", "vtk"), (b"$Mesh", "gmsh"), (b"MeshVersion", "medit"), (b"<", "vtu"))
    return next((form for beginning, form in beginnings if source.head.lstrip().startswith(beginning)), "vtk")
