"""Files packed as a whole: gzip, bzip2, xz, Zstandard and LZ4, told by their content; Brotli and LZMA by their extension."""

from __future__ import annotations

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
    """A binary stream of the unpacked bytes; the caller closes it."""
    if name == "gzip":
        import gzip

        return gzip.open(path)
    if name == "bz2":
        import bz2

        return bz2.open(path)
    if name == "xz":
        import lzma

        return lzma.open(path)
    if name == "zstd":
        import pyarrow

        return pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd")
    if name == "lz4":
        import lz4.frame

        return lz4.frame.open(path)
    if name == "brotli":
        return _Brotli(path)
    return path.open("rb")


class _Brotli:
    """What ``brotli`` itself does not have: a stream to read from."""

    def __init__(self, path: Path) -> None:
        import brotli

        self._file = path.open("rb")
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
