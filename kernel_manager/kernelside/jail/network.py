"""The network of a jail: a loopback of its own."""

from __future__ import annotations

import socket
import struct
from typing import Final

from .policy import TCP_BUFFERS
from .script import Slot, Step, step, write_file

_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1


def raise_loopback() -> list[Step]:
    """Bring ``lo`` up: kernels talk to their own threads and children over 127.0.0.1. A new network namespace has it down."""
    what = "loopback"
    request = struct.pack("16sH22x", b"lo", _IFF_UP)
    return [
        step(what, "socket", socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0, into=Slot.CONTROL),
        step(what, "ioctl", Slot.CONTROL, _SIOCSIFFLAGS, request),
        step(what, "close", Slot.CONTROL),
    ]


def bound_buffers(proc: str) -> list[Step]:
    """Bound the memory of each connection, through *proc*, where this network's settings can be written."""
    return [
        item
        for name, sizes in TCP_BUFFERS.items()
        for item in write_file("connection buffers", f"{proc}/sys/net/ipv4/{name}", sizes)
    ]
