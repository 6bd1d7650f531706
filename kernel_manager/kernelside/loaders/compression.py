"""Files packed as a whole: gzip, bzip2, xz and Zstandard, told by their content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_MAGIC = {
    b"\x1f\x8b\x08": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")

MAGIC_SIZE = 10

#: Extension of the compression → the extension that it stands for by itself.
EXTENSIONS = {
    **dict.fromkeys((".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd"), ""),
    **dict.fromkeys((".tgz", ".tbz2", ".txz"), ".tar"),
}


def recognise(head: bytes) -> str | None:
    """The compression whose magic number ``head`` (at least :data:`MAGIC_SIZE` bytes, if there are) begins with, or None."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic) and (name != "bz2" or head[4:10] in _BZIP2_BLOCKS):
            return name
    return None


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
    return path.open("rb")
