"""What a file's name says about its type. Pure."""

from __future__ import annotations

import mimetypes
from functools import cache
from pathlib import Path

_MORE_TYPES = {
    ".arrow": "application/vnd.apache.arrow.file",
    ".feather": "application/vnd.apache.arrow.file",
    ".geojson": "application/geo+json",
    ".ipynb": "application/x-ipynb+json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".ndjson": "application/x-ndjson",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".parquet": "application/vnd.apache.parquet",
    ".pkl": "application/x-pickle",
    ".sqlite": "application/vnd.sqlite3",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".webp": "image/webp",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_COMPRESSED_TYPES = {
    ".bz2": "application/x-bzip2",
    ".gz": "application/gzip",
    ".tgz": "application/gzip",
    ".xz": "application/x-xz",
    ".zst": "application/zstd",
}


def mime_type(name: str) -> str:
    """Return the MIME type that the end of a file's name stands for, whatever the machine's own tables say."""
    suffix = Path(name).suffix.lower()
    known = _COMPRESSED_TYPES.get(suffix) or _MORE_TYPES.get(suffix) or _builtin_types().get(suffix)
    return known or "application/octet-stream"


@cache
def _builtin_types() -> dict[str, str]:
    # Python's own table, not the module's functions: those read the machine's files and take names for URLs.
    return mimetypes.MimeTypes().types_map[True]
