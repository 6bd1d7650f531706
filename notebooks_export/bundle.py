"""A zip that stands on its own: the notebook, the data that it loads, its requirements, and a small ``load_file``."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from nbformat import NotebookNode

from notebooks_export.cells import megabytes
from notebooks_export.data_files import FOLDER, opened
from notebooks_export.loader_package import package_files, sources
from notebooks_export.notebook import notebook_bytes
from notebooks_export.requirements import requirements_of
from notebooks_export.setup_cells import GONE, requirements_text
from notebooks_export.surroundings import DataFile, Requirement, Surroundings

#: The same content makes the same bytes: every member is as old as the format allows.
_DATE = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20
#: What the archive needs for a member besides its content, in bytes.
_PER_FILE = 400


@dataclass(frozen=True, slots=True)
class Ran:
    """What opening the files ran: functions of our sources by path, and top-level modules of libraries."""

    functions: Mapping[str, Collection[str]]
    modules: Collection[str]


@dataclass(frozen=True, slots=True)
class Packing:
    """Which data files go into the bundle, and those that do not, with the reason. ``size`` is the room they take there."""

    data: tuple[DataFile, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    size: int = 0


def choose(files: Sequence[DataFile], room: int) -> Packing:
    """Choose the files that fit into ``room`` bytes; the largest are left out first."""
    chosen: set[str] = set()
    used = 0
    for file in sorted(files, key=lambda file: (file.size, file.place)):
        size = _PER_FILE + (file.size if used + file.size + _PER_FILE <= room else _packed_size(file, room))
        if used + size > room:
            break
        used += size
        chosen.add(file.place)
    why = "its {} are more than there was room for"
    left_out = [(file.name, why.format(megabytes(file.size))) for file in files if file.place not in chosen]
    return Packing(tuple(file for file in files if file.place in chosen), tuple(left_out), used)


def _packed_size(file: DataFile, enough: int) -> int:
    """The bytes that a file takes in an archive; reading ends where they are more than enough."""
    packer, size = zlib.compressobj(), 0
    try:
        for chunk in _chunks(file):
            size += len(packer.compress(chunk))
            if size > enough:
                return size
    except OSError:
        return enough + 1
    return size + len(packer.flush())


def _chunks(file: DataFile) -> Iterator[bytes]:
    with opened(file.root, file.path) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def bundle_requirements(surroundings: Surroundings, ran: Ran | None) -> tuple[Requirement, ...]:
    """What the code imports, what opening the data imported, and what a kernel is."""
    observed = requirements_of((), surroundings.installed, ran.modules if ran else ())
    every = {item.name: item for item in (*surroundings.requirements, *observed, *surroundings.base)}
    return tuple(every[name] for name in sorted(every))


def write_bundle(
    stream: BinaryIO, name: str, nb: NotebookNode, packing: Packing, surroundings: Surroundings, ran: Ran | None
) -> None:
    """Write the archive: everything lies in one folder called ``name``. Raises OSError if a file cannot be read any more."""
    requirements = bundle_requirements(surroundings, ran)
    texts = {f"{name}.ipynb": notebook_bytes(nb)}
    if requirements:
        texts["requirements.txt"] = requirements_text(requirements, surroundings.python_version).encode()
    if _needs_load_file(nb):
        not_here = dict.fromkeys(surroundings.missing, GONE) | dict(packing.left_out)
        package = package_files(sources(), ran.functions if ran else None, not_here)
        texts |= {path: text.encode() for path, text in package.items()}
        texts[f"{FOLDER}/index.json"] = _index(surroundings.data)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path, content in texts.items():
            archive.writestr(_member(name, path), content)
        for file in packing.data:
            with archive.open(_member(name, file.place), "w", force_zip64=file.size > 2**31) as member:
                for chunk in _chunks(file):
                    member.write(chunk)


def _needs_load_file(nb: NotebookNode) -> bool:
    return any(cell.metadata.get("threadbook", {}).get("part") == "load-file" for cell in nb.cells)


def _index(data: Sequence[DataFile]) -> bytes:
    """The list that the kernel's ``load_file`` reads; files that were left out are in it, for who puts them in."""
    files = [
        {
            "file_id": file.file_id,
            "filename": file.name,
            "original_name": file.original_name,
            "path": file.place.removeprefix(f"{FOLDER}/"),
            "size": file.size,
            "created_at": file.created_at,
            "expires_at": file.expires_at,
        }
        for file in sorted(data, key=lambda file: file.created_at)
        if file.file_id
    ]
    return json.dumps({"version": 1, "files": files}, indent=1).encode() + b"\n"


def _member(folder: str, path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(f"{folder}/{path}", _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info
