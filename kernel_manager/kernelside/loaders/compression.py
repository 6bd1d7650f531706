"""Files packed as a whole: gzip, bzip2, xz, Zstandard and LZ4, told by their content; Brotli and LZMA by their extension."""

from __future__ import annotations

import io
from pathlib import Path, PurePath
from typing import Any

_MAGIC = {
    b"\x1f\x8b\x08": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")

MAGIC_SIZE = 10
_MAX_DEPTH = 4

#: Extension of the compression → the extension that it stands for by itself.
EXTENSIONS = {
    **dict.fromkeys((".gz", ".gzip", ".bz2", ".xz", ".lzma", ".zst", ".zstd", ".lz4", ".br"), ""),
    **dict.fromkeys((".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".tlz"), ".tar"),
    ".svgz": ".svg",
    ".mgz": ".mgh",
    ".rds": ".rds",
    ".rda": ".rda",
    ".rdata": ".rdata",
    ".bam": ".bam",
}
_BY_EXTENSION = {".br": "brotli", ".lzma": "xz"}


def recognise(head: bytes, name: str = "") -> str | None:
    """The compression of a file that begins with ``head`` (:data:`MAGIC_SIZE` bytes, if there are) and is called ``name``."""
    for magic, compression in _MAGIC.items():
        if head.startswith(magic) and (compression != "bz2" or head[4:10] in _BZIP2_BLOCKS):
            return compression
    return _BY_EXTENSION.get(PurePath(name.lower()).suffix) if head else None


def open_unpacked(path: Path, name: str | None) -> Any:
    """A binary stream of the unpacked bytes; the caller closes it. What is packed several times is unpacked as often."""
    stream: Any = path.open("rb")
    depth = 0
    while name is not None and depth < _MAX_DEPTH:
        packed, stream = stream, _unpacking(stream, name)
        try:
            first = _read_exactly(stream, MAGIC_SIZE)
        except BaseException:
            stream.close()
            packed.close()
            raise
        name, depth = recognise(first), depth + 1
        stream = _Ahead(first, stream, packed)
    return stream


def _unpacking(stream: Any, name: str) -> Any:
    if name == "gzip":
        import gzip

        return gzip.GzipFile(fileobj=stream)
    if name == "bz2":
        import bz2

        return bz2.BZ2File(stream)
    if name == "xz":
        import lzma

        return lzma.LZMAFile(stream)
    if name == "zstd":
        import pyarrow

        return pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, "r"), "zstd")
    if name == "lz4":
        import lz4.frame

        return lz4.frame.LZ4FrameFile(stream)
    return _Brotli(stream)


def _read_exactly(stream: Any, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


class _Ahead(io.RawIOBase):
    """A stream some bytes of which were read already, and the stream of packed bytes that it comes from."""

    def __init__(self, first: bytes, stream: Any, packed: Any) -> None:
        self._first, self._stream, self._packed = first, stream, packed

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._first:
            data: bytes = self._stream.read(size)
            return data
        size = len(self._first) if size < 0 else size
        first, self._first = self._first[:size], self._first[size:]
        return first

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._packed.close()
        super().close()


class _Brotli:
    """What ``brotli`` itself does not have: a stream to read from."""

    def __init__(self, stream: Any) -> None:
        import brotli

        self._file = stream
        self._decompressor = brotli.Decompressor()

    def read(self, size: int) -> bytes:
        while not self._decompressor.is_finished():
            if self._decompressor.can_accept_more_data():
                packed = self._file.read(size)
                if not packed:
                    raise EOFError("it ends too early")
            else:
                packed = b""
            if data := self._decompressor.process(packed, output_buffer_limit=size):
                return bytes(data)
        return b""

    def close(self) -> None:
        self._file.close()
