"""Where downloads lie until they are a user's: a folder of each process, which goes with it, or after a kill with the next."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kernel_manager.errors import StorageError
from kernel_manager.files.file_lock import FileLock

logger = logging.getLogger(__name__)

_LOCK = ".lock"


@asynccontextmanager
async def downloads_folder(root: Path) -> AsyncIterator[Path]:
    """Yield a new folder below ``root``, and remove it at the end. Raises StorageError if there cannot be one.

    Before that, what processes left behind that are no more is removed; never what one that lives is downloading.
    """
    folder = root / secrets.token_hex(8)
    held = FileLock(folder / _LOCK)
    await _guarded(root, folder, held)
    try:
        yield folder
    finally:
        held.release()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _guarded(root: Path, folder: Path, held: FileLock) -> None:
    """Sweep and begin while nobody else does either: a folder whose lock is not yet held looks like one that was left."""
    await asyncio.to_thread(_make, root)
    gate = FileLock(root / _LOCK)
    await gate.acquire()
    try:
        if swept := await asyncio.to_thread(_sweep, root):
            logger.info("removed %d downloads that an earlier process left behind", swept)
        await asyncio.to_thread(_make, folder)
        held.try_acquire()
    finally:
        gate.release()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise StorageError(f"cannot write below {folder} ({exc.strerror}); check its owner and free space") from exc


def _sweep(root: Path) -> int:
    swept = 0
    for folder in (path for path in root.iterdir() if path.is_dir() and not path.is_symlink()):
        left = FileLock(folder / _LOCK)
        if left.try_acquire():
            swept += sum(1 for path in folder.iterdir() if path.name != _LOCK)
            shutil.rmtree(folder, ignore_errors=True)
            left.release()
    return swept
