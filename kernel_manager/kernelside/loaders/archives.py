"""Archives: what is in them, and members of them opened like any other file."""

from __future__ import annotations

import io
import tarfile
import weakref
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable

_MAX_MEMBERS = 200_000
_SHOWN = 10
_CHUNK = 1 << 20
_AES = 99


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of an archive; ``size`` in bytes, unpacked; ``modified`` is None where the archive does not say."""

    name: str
    size: int
    modified: datetime | None = None
    is_folder: bool = False


class Archive:
    """An archive: ``members`` lists it, ``load(name)`` opens a member as ``load_file`` would, ``read(name)`` gives its bytes."""

    def __init__(self, source: Source, form: str, entries: list[Member], password: str | None = None) -> None:
        self.path, self.name, self._form, self._entries = source.path, source.name, form, entries
        self._password = password

    @property
    def members(self) -> Any:
        """A DataFrame: name, size, modified, is_folder."""
        import pandas as pd

        rows = [(entry.name, entry.size, entry.modified, entry.is_folder) for entry in self._entries]
        frame = pd.DataFrame(rows, columns=["name", "size", "modified", "is_folder"])
        frame["modified"] = pd.to_datetime(frame["modified"], utc=True)
        return frame

    def names(self) -> list[str]:
        """The names of the files in it."""
        return [entry.name for entry in self._entries if not entry.is_folder]

    def read(self, name: str) -> bytes:
        """The bytes of one member."""
        entry = next((entry for entry in reversed(self._entries) if entry.name == name and not entry.is_folder), None)
        if entry is None:
            raise KeyError(f"{self.name} has no member {name!r}; it has: {', '.join(self.names()[:20])}")
        if entry.size > MAX_UNPACKED:
            raise ValueError(f"{self.name}: {name} unpacks to more than {MAX_UNPACKED >> 20} MB")
        try:
            data = self._bytes_of(name)
        except Exception as exc:
            if isinstance(exc, (MemoryError, ImportError)):
                raise
            if "password" in str(exc).lower():
                how = "is wrong" if self._password else f"is needed: load_file({self.name!r}, password='…')"
                raise ValueError(f"{self.name}: {name} is protected, and the password {how}") from exc
            raise ValueError(f"{self.name}: {name} cannot be read: {exc}") from exc
        return data

    def _bytes_of(self, name: str) -> bytes:
        source = Source(self.path, self.name)
        if self._form == "zip":
            return _read_zip(source, name, self._password)
        if self._form == "7z":
            return _read_7z(source, name, self._password)
        return _READERS[self._form](source, name)

    def load(self, name: str, *, as_: str | None = None, **options: Any) -> Any:
        """What ``load_file`` makes of one member; its notes go to stderr."""
        import sys

        from ..load_file import open_source

        if as_ == "bytes":
            return self.read(name)
        if as_ == "path":
            raise ValueError("a member has no path of its own; extract('folder') writes all of them to a folder")
        folder = TemporaryDirectory(prefix="load-")
        path = Path(folder.name, f"member{PurePosixPath(name).suffix.lower()[:20]}")
        kept = False
        try:
            path.write_bytes(self.read(name))
            source = Source(path, PurePosixPath(name).name)
            content = open_source(source, as_, options)
            # An archive in an archive, and a video, are read again later on: their file stays as long as they do.
            if kept := getattr(content, "path", None) == path:
                weakref.finalize(content, folder.cleanup)
        finally:
            if not kept:
                folder.cleanup()
        for note in source.notes:
            sys.stderr.write(f"load_file: {self.name}, {name}: {note}\n")
        return content

    def extract(self, folder: str = ".") -> list[Path]:
        """Write all members below ``folder`` and return their paths. Names that lead outside are refused."""
        total = sum(entry.size for entry in self._entries)
        if total > 2 * MAX_UNPACKED:
            raise ValueError(f"{self.name} unpacks to {total >> 20} MB; read(name) gives single members")
        target, written = Path(folder).resolve(), []
        for name in dict.fromkeys(self.names()):
            path = (target / name).resolve()
            if not path.is_relative_to(target):
                raise ValueError(f"{self.name}: the member {name!r} leads outside of the folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(name))
            written.append(path)
        return written

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __repr__(self) -> str:
        names = self.names()
        more = f"\n  … {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        sizes = {entry.name: entry.size for entry in self._entries}
        listed = "".join(f"\n  {name}  {sizes[name]:,} bytes" for name in names[:_SHOWN])
        return f"<Archive {self.name!r}: {len(names)} files; .load(name) opens one>{listed}{more}"


def load_zip(source: Source, *, password: str | None = None) -> Archive:
    """An :class:`Archive`."""
    with zipfile.ZipFile(source.for_reader()) as archive:
        entries = [Member(info.filename, info.file_size, _moment(info.date_time), info.is_dir()) for info in archive.infolist()]
    return _archive(source, "zip", entries, password)


def _moment(parts: tuple[int, ...]) -> datetime | None:
    try:
        return datetime(*parts[:6], tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def _read_zip(source: Source, name: str, password: str | None) -> bytes:
    secret = None if password is None else password.encode()
    with zipfile.ZipFile(source.for_reader()) as archive:
        if archive.getinfo(name).compress_type == _AES:
            raise Unreadable("it is encrypted with AES, which is not supported; repack it as 7z, or without encryption")
        with archive.open(name, pwd=secret) as member:
            return _bounded(member.read)


def load_tar(source: Source) -> Archive:
    """An :class:`Archive`; compressed ones are unpacked."""
    data = io.BytesIO(source.read())
    try:
        with tarfile.open(fileobj=data, mode="r:") as archive:
            entries: list[Member] = []
            for info in archive:
                if len(entries) > _MAX_MEMBERS:
                    raise Unreadable(f"it has more than {_MAX_MEMBERS:,} members")
                modified = datetime.fromtimestamp(info.mtime, UTC) if 0 <= info.mtime < 1 << 40 else None
                entries.append(Member(info.name, info.size, modified, not info.isfile()))
                end = info.offset_data + info.size
                if info.isfile() and end > len(data.getbuffer()):
                    source.note(f"it is cut off within {info.name!r}: what comes after is missing")
    except tarfile.ReadError as exc:
        raise Unreadable(f"it is no tar archive, or is damaged: {exc}") from exc
    if bytes(data.getbuffer()[-1024:]).strip(b"\0") or len(data.getbuffer()) < 1024:
        source.note("the blocks that end it are missing: the archive may be cut off")
    return _archive(source, "tar", entries)


def _read_tar(source: Source, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(source.read()), mode="r:") as archive:
        member = archive.extractfile(name)
        if member is None:
            raise Unreadable("it is no file")
        return _bounded(member.read)


def load_7z(source: Source, *, password: str | None = None) -> Archive:
    """An :class:`Archive`."""
    import py7zr

    with py7zr.SevenZipFile(io.BytesIO(source.read()), password=password) as archive:
        entries = [Member(info.filename, info.uncompressed or 0, info.creationtime, info.is_directory) for info in archive.list()]
    return _archive(source, "7z", entries, password)


def read_7z_member(source: Source, *, name: str, password: str | None = None) -> bytes:
    """One member; it is called in a process of its own."""
    import py7zr

    with (
        TemporaryDirectory(prefix="load-") as folder,
        py7zr.SevenZipFile(io.BytesIO(source.read()), password=password) as archive,
    ):
        archive.extract(folder, targets=[name])
        return Path(folder, name).read_bytes()


def _read_7z(source: Source, name: str, password: str | None) -> bytes:
    from . import limited

    data: bytes = limited.load("archives:read_7z_member", source, {"name": name, "password": password})
    return data


def load_rar(source: Source) -> Archive:
    """An :class:`Archive` that only lists: what unpacks RAR is not free software."""
    import rarfile

    with source.file(".rar") as path, rarfile.RarFile(path) as archive:
        entries = [
            Member(info.filename, info.file_size, _moment(info.date_time or ()), info.is_dir()) for info in archive.infolist()
        ]
    source.note("RAR archives are listed only; repack it as ZIP or 7z to open members")
    return _archive(source, "rar", entries)


def _read_rar(source: Source, name: str) -> bytes:
    raise Unreadable("RAR archives are listed only; repack it as ZIP or 7z")


def load_ar(source: Source) -> Archive:
    """An :class:`Archive`, as of Debian packages and static libraries."""
    return _archive(source, "ar", [Member(name, len(data)) for name, data in _ar_members(source.read())])


def _ar_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    at, names = 8, b""
    while at < len(data):
        header = data[at : at + 60]
        if len(header) < 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise Unreadable(f"the entry at byte {at} is damaged")
        size, name = int(header[48:58]), header[:16].rstrip()
        body = data[at + 60 : at + 60 + size]
        if len(body) < size:
            raise Unreadable("it ends within a member")
        if name == b"//":
            names = body
        elif name not in (b"/", b"/SYM64/"):
            if name.startswith(b"/") and name[1:].isdigit():
                name = names[int(name[1:]) :].partition(b"\n")[0]
            yield name.removesuffix(b"/").decode("utf-8", "replace"), body
        at += 60 + size + size % 2


def _read_ar(source: Source, name: str) -> bytes:
    return dict(_ar_members(source.read()))[name]


def load_cpio(source: Source) -> Archive:
    """An :class:`Archive` in one of the two ASCII forms."""
    return _archive(source, "cpio", [member for member, _ in _cpio_members(source.read())])


def _cpio_members(data: bytes) -> Iterator[tuple[Member, bytes]]:
    at = 0
    while True:
        magic = data[at : at + 6]
        if magic in (b"070701", b"070702"):
            fields = [_number(data[at + 6 + 8 * index : at + 14 + 8 * index], 16) for index in range(13)]
            mode, moment, size, name_size = fields[1], fields[5], fields[6], fields[11]
            start, align = at + 110, 4
        elif magic == b"070707":
            mode, name_size = _number(data[at + 18 : at + 24], 8), _number(data[at + 59 : at + 65], 8)
            moment, size = _number(data[at + 48 : at + 59], 8), _number(data[at + 65 : at + 76], 8)
            start, align = at + 76, 1
        else:
            raise Unreadable(f"the entry at byte {at} is damaged or in a form that is not supported")
        name = data[start : start + name_size].rstrip(b"\0").decode("utf-8", "replace")
        if name == "TRAILER!!!":
            return
        first = start + name_size + -(start + name_size) % align
        if first + size > len(data):
            raise Unreadable("it ends within a member")
        folder = mode & 0o170000 != 0o100000
        yield Member(name, size, datetime.fromtimestamp(moment, UTC), folder), data[first : first + size]
        at = first + size + -(first + size) % align


def _number(digits: bytes, base: int) -> int:
    try:
        return int(digits, base)
    except ValueError:
        raise Unreadable("a header in it is damaged") from None


def _read_cpio(source: Source, name: str) -> bytes:
    return next(data for member, data in _cpio_members(source.read()) if member.name == name)


def _archive(source: Source, form: str, entries: list[Member], password: str | None = None) -> Archive:
    if len(entries) > _MAX_MEMBERS:
        raise Unreadable(f"it has more than {_MAX_MEMBERS:,} members")
    archive = Archive(source, form, entries, password)
    # What macOS and editors add is nothing that anybody packed.
    names = [
        name for name in archive.names() if not name.startswith("__MACOSX/") and not PurePosixPath(name).name.startswith(".")
    ]
    if len(names) == 1:
        source.note(f"it is an archive of one file; .load({names[0]!r}) opens that")
    return archive


def _bounded(read: Callable[[int], bytes]) -> bytes:
    data = bytearray()
    while chunk := read(_CHUNK):
        data += chunk
        if len(data) > MAX_UNPACKED:
            raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB")
    return bytes(data)


_READERS: dict[str, Callable[[Source, str], bytes]] = {
    "tar": _read_tar,
    "rar": _read_rar,
    "ar": _read_ar,
    "cpio": _read_cpio,
}
