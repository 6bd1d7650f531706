"""Writing a file so that it is the old one or the whole new one, whatever happens."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from kernel_manager.errors import StorageError, UsageError


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have ``write`` fill a new file and put it in the place of ``path``.

    Raises :class:`UsageError` if nothing can be put there and :class:`StorageError` if writing fails.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise UsageError(f"{path} is not a file that a notebook can replace; name another one.")
    if not target.parent.is_dir():
        raise UsageError(f"The folder {target.parent} does not exist; make it, or name another one.")
    try:
        _replace(target, write)
    except OSError as exc:
        raise StorageError(f"{path} cannot be written: {exc.strerror or exc}; free space or name another place.") from exc


def _replace(target: Path, write: Callable[[BinaryIO], object]) -> None:
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
