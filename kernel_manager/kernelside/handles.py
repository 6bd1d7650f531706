"""What a kernel and its init hold of the host, opened while they can still see it.

Afterwards neither needs a path: the sockets are bound, the spool is mapped, the report's file is open. So the same code runs
in a jail, where the host's files are out of sight, and outside of one.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import protocol
from .protocol import PENDING_FILES, PORTS, SPOOL_FILE
from .shared_memory import map_shared
from .spool import PENDING_SIZE, SPOOL_SIZE

_BACKLOG = 128


class Pipes:
    """The pipes between a kernel and its init: one behind each standard stream, and one for the kernel's news."""

    def __init__(self) -> None:
        self.stdout_read, self.stdout_write = os.pipe()
        self.stderr_read, self.stderr_write = os.pipe()
        self.news_read, self.news_write = os.pipe()
        for fd in (self.news_read, self.news_write):
            os.set_blocking(fd, False)

    @property
    def of_init(self) -> tuple[int, ...]:
        """What init reads: the kernel's news, and the streams' last words."""
        return self.stdout_read, self.stderr_read, self.news_read

    @property
    def of_kernel(self) -> tuple[int, ...]:
        """What the kernel needs until :meth:`become_kernel_side`."""
        return self.stdout_read, self.stdout_write, self.stderr_read, self.stderr_write, self.news_write

    def become_kernel_side(self) -> None:
        """Put the pipes in place of file descriptors 1 and 2."""
        os.dup2(self.stdout_write, 1)
        os.dup2(self.stderr_write, 2)
        for fd in (self.stdout_write, self.stderr_write):
            os.close(fd)


@dataclass(frozen=True)
class KernelHandles:
    """What a kernel attaches to: its connection, a listening socket for each channel, its spool, its streams and news.

    ``stream_reads`` are the read ends of the pipes behind file descriptors 1 and 2; ``child_endpoint`` is where forked
    children of the code send their displays.
    """

    connection: dict[str, Any]
    listeners: dict[str, int]
    spool: memoryview
    pending: dict[str, memoryview]
    stream_reads: tuple[int, int]
    news: int
    child_endpoint: str


@dataclass(frozen=True)
class KernelPlaces:
    """Where a kernel finds its user's files, and what was installed beside the environment, as it sees them."""

    files: str
    packages: str


def read_connection(kernel_dir: str) -> dict[str, Any]:
    """Jupyter's connection file of a kernel; raises OSError or ValueError."""
    with open(os.path.join(kernel_dir, protocol.CONNECTION_FILE)) as file:
        connection: dict[str, Any] = json.load(file)
    return connection


def open_for_kernel(kernel_dir: str, stream_reads: tuple[int, int], news: int) -> KernelHandles:
    """Bind the sockets and map the files of a kernel; raises OSError or ValueError."""
    connection = read_connection(kernel_dir)
    listeners = {name: _listen(f"{connection['ip']}-{connection[name]}") for name in PORTS}
    return _handles(kernel_dir, connection, listeners, stream_reads, news)


def inherited(kernel_dir: str, numbers: Sequence[int]) -> KernelHandles:
    """The same in a program that was started with the descriptors ``numbers``, as :func:`numbers_of` gives them."""
    listeners = dict(zip(PORTS, numbers, strict=False))
    stdout, stderr, news = numbers[len(PORTS) :]
    return _handles(kernel_dir, read_connection(kernel_dir), listeners, (stdout, stderr), news)


def numbers_of(handles: KernelHandles) -> list[int]:
    """The descriptors to hand to a program that is to be the kernel."""
    return [*(handles.listeners[name] for name in PORTS), *handles.stream_reads, handles.news]


def _handles(
    kernel_dir: str, connection: dict[str, Any], listeners: dict[str, int], stream_reads: tuple[int, int], news: int
) -> KernelHandles:
    return KernelHandles(
        connection=connection,
        listeners=listeners,
        spool=map_shared(os.path.join(kernel_dir, SPOOL_FILE), SPOOL_SIZE),
        pending={name: map_shared(os.path.join(kernel_dir, file), PENDING_SIZE) for name, file in PENDING_FILES.items()},
        stream_reads=stream_reads,
        news=news,
        child_endpoint=f"ipc://{connection['ip']}-c",
    )


def _listen(path: str) -> int:
    """A listening socket at ``path``; its folder decides who comes near."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener.detach()
