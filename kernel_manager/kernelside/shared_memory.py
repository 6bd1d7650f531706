"""Memory that a process shares with whoever reads a file, and that it cannot make larger.

A forked process inherits the mapping, but no descriptor of the file: what it writes is bounded by the mapping's size, and it
cannot reach the file in another way. Pages that were never written take no space.
"""

from __future__ import annotations

import ctypes
import mmap
import os

_MADV_REMOVE = 9
_FAILED = ctypes.c_void_p(-1).value


def map_shared(path: str, size: int) -> memoryview:
    """Map ``size`` bytes of a new or existing file for reading and writing, until the process ends; raises OSError."""
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, size)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
        # not mmap.mmap: it keeps a descriptor of the file
        address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
        if address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(fd)
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


def give_back(memory: memoryview) -> None:
    """Let the system have the pages of a mapping, which then reads as zeros; where it cannot, nothing happens."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    madvise(ctypes.addressof(ctypes.c_char.from_buffer(memory)), len(memory), _MADV_REMOVE)
