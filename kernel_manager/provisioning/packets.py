"""Asking a zygote or an init over its packet socket, from asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernel_manager.errors import ServiceError
from kernel_manager.kernelside import protocol

Packet = dict[str, Any]


class PacketClosedError(ServiceError):
    """The other side is gone."""


class PacketClient:
    """One connection. Requests are answered in order; what comes unasked goes to ``on_event``.

    ``on_close`` is called once, when the other side is gone.
    """

    def __init__(self, on_event: Callable[[Packet], None] | None = None, on_close: Callable[[], None] | None = None) -> None:
        self._on_event = on_event
        self._on_close = on_close
        self._socket: socket.socket | None = None
        self._waiting: deque[asyncio.Future[Packet] | None] = deque()
        self._loop = asyncio.get_running_loop()

    async def connect(self, path: Path) -> None:
        """Connect; raises OSError when nobody listens at ``path``."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        try:
            await self._loop.sock_connect(sock, str(path))
        except BaseException:
            sock.close()
            raise
        self._socket = sock
        self._loop.add_reader(sock, self._on_readable)

    @property
    def peer_pid(self) -> int:
        """The process that listens at the other side, 0 where the system does not tell."""
        if self._socket is None or not hasattr(socket, "SO_PEERCRED"):
            return 0
        pid, _, _ = struct.unpack("3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)

    async def ask(self, op: str, **fields: Any) -> Packet:
        """Send a request and return the reply; raises ServiceError if the reply says no."""
        future: asyncio.Future[Packet] = self._loop.create_future()
        self._send(op, fields, future)
        reply = await future
        if not reply.get("ok"):
            raise ServiceError(str(reply.get("error", "refused")))
        return reply

    def tell(self, op: str, **fields: Any) -> None:
        """Send a request whose reply does not matter; nothing happens when the other side is gone."""
        with contextlib.suppress(PacketClosedError):
            self._send(op, fields, None)

    def _send(self, op: str, fields: Packet, future: asyncio.Future[Packet] | None) -> None:
        if self._socket is None:
            raise PacketClosedError("the connection is closed")
        try:
            self._socket.send(protocol.encode({"v": protocol.PROTOCOL_VERSION, "op": op, **fields}))
        except OSError as exc:
            self.close()
            raise PacketClosedError(f"the other side is gone: {exc.strerror}") from exc
        self._waiting.append(future)

    def read_waiting(self) -> None:
        """Take all that has come already, without waiting for the event loop to look."""
        while self._socket is not None and self._on_readable():
            pass

    def _on_readable(self) -> bool:
        """Take one packet; return whether there was any."""
        assert self._socket is not None
        try:
            packet = self._socket.recv(protocol.MAX_PACKET)
        except BlockingIOError:
            return False
        except OSError:
            packet = b""
        if packet:
            self._dispatch(protocol.decode(packet))
        else:
            self.close()
        return bool(packet)

    def _dispatch(self, packet: Packet) -> None:
        if "event" in packet:
            if self._on_event is not None:
                self._on_event(packet)
        elif self._waiting and (future := self._waiting.popleft()) is not None and not future.done():
            future.set_result(packet)

    def close(self) -> None:
        """Close the connection; whoever still waits for a reply gets a PacketClosedError."""
        if self._socket is None:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        while self._waiting:
            if (future := self._waiting.popleft()) is not None and not future.done():
                future.set_exception(PacketClosedError("the other side is gone"))
        if self._on_close is not None:
            self._on_close()
