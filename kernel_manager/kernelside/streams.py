"""``sys.stdout`` and ``sys.stderr`` of a kernel: what Python, C code, threads and child processes print.

Differences to ipykernel's own stream: a flush happens in the calling thread and never waits (messages keep their
order in the IOPub thread's queue); file descriptor 1 or 2 is a pipe that is read by the IOPub thread's loop and drained
at each flush, so that what C code and child processes wrote belongs to the cell that wrote it; text that waits is also
kept where it survives a sudden death; and a flush is bounded.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import zmq
from ipykernel.iostream import IOPubThread, OutStream
from zmq.eventloop.zmqstream import ZMQStream

from .output_limits import FLUSHES_PER_INTERVAL, TextBuffer
from .spool import Pending

READ_SIZE = 64 * 1024
#: Messages that wait for the IOPub thread before code that publishes more is slowed down.
QUEUE_LIMIT = 500
QUEUE_WAIT_S = 0.002


class KernelStream(OutStream):
    """One standard stream, published on IOPub.

    ``pipe_fd`` is the non-blocking read end of the pipe that stands in place of the stream's file descriptor.
    """

    def __init__(self, session: Any, pub_thread: IOPubThread, name: str, pipe_fd: int, pending: Pending) -> None:
        super().__init__(session, pub_thread, name, watchfd=False)
        self._fd = {"stdout": 1, "stderr": 2}[name]
        self._pipe_fd = pipe_fd
        self._pending = pending
        self._texts: dict[frozenset[Any], TextBuffer] = {}
        self._interval_start = 0.0
        self._flushes = 0
        os.set_blocking(pipe_fd, False)
        self._io_loop.add_handler(pipe_fd, self._on_pipe, self._io_loop.READ)

    def fileno(self) -> int:
        """The real descriptor: a child process that inherits it is captured as well."""
        return self._fd

    def write(self, string: str) -> int:
        """Take text for the running cell; it is published by the next flush, at the latest after ``flush_interval``."""
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if not self._is_master_process():
            _write_all(self._fd, string)
            return len(string)
        self._drain_pipe(reads=1)  # what children wrote until now comes first
        self._take(string, self.parent_header)
        return len(string)

    def _take(self, text: str, parent: dict[str, Any]) -> None:
        key = frozenset(parent.items())
        with self._buffer_lock:
            buffer = self._texts.get(key)
            if buffer is None:
                buffer = self._texts[key] = TextBuffer()
            buffer.write(text)
            self._pending.add(text)
        self._schedule_flush()

    def flush(self) -> None:
        """Publish what waits; requests that come too fast are left to the timer."""
        if not self._is_master_process():
            return  # a child has nothing to publish, and must not read what is meant for its parent
        self._drain_pipe()
        if not self._texts:
            return
        now = time.monotonic()
        if now - self._interval_start > self.flush_interval:
            self._interval_start, self._flushes = now, 0
        self._flushes += 1
        if self._flushes <= FLUSHES_PER_INTERVAL:
            self._flush()
        else:
            self._schedule_flush()

    def flush_now(self) -> None:
        """Publish everything, whatever the rate: something else follows that must come after it."""
        self._flush()

    def _flush(self) -> None:
        if not self._is_master_process():
            return
        self._flush_pending = False
        self._drain_pipe()
        with self._buffer_lock:
            if not self._texts:
                return
            texts, self._texts = self._texts, {}
            for number, (parent, buffer) in enumerate(texts.items(), start=1):
                # the last one's text is in two places for no longer than this thread needs for a step
                spooled = self._pending.clear if number == len(texts) else None
                self._publish(dict(parent), buffer.take(), spooled)
            self._pending.clear()

    def _publish(self, parent: dict[str, Any], text: str, spooled: Callable[[], None] | None) -> None:
        message: dict[str, Any] | None = self.session.msg("stream", {"name": self.name, "text": text}, parent=parent)
        for hook in self._hooks:
            message = hook(message)
            if message is None:
                return
        local = self.pub_thread.local
        local.spooled = spooled
        try:
            self.session.send(self.pub_thread, message, ident=self.topic)
        finally:
            local.spooled = None

    def detach_pipe(self) -> None:
        """Stop reading the pipe; only when the IOPub thread's loop will not run again."""
        self._io_loop.asyncio_loop.call_soon_threadsafe(self._io_loop.remove_handler, self._pipe_fd)

    def _on_pipe(self, _fd: int, _events: int) -> None:
        self._drain_pipe(reads=1)

    def _drain_pipe(self, reads: int = 64) -> None:
        """Move what C code and child processes wrote into the buffer; bounded, since they may write without end."""
        with self._buffer_lock:
            for _ in range(reads):
                try:
                    data = os.read(self._pipe_fd, READ_SIZE)
                except OSError:
                    return
                if not data:
                    return
                # whoever reads has a context of its own; what comes through a descriptor belongs to the latest cell
                self._take(data.decode(errors="replace"), self._parent_header_global)


def _write_all(fd: int, text: str) -> None:
    data = text.encode(errors="replace")
    while data:
        data = data[os.write(fd, data) :]


class SpoolingIOPubThread(IOPubThread):
    """The IOPub thread, with every message also kept in the spool before it is queued.

    Displays of forked children come through a socket beside the kernel's own, not through a TCP port.
    """

    def __init__(self, socket: Any, session: Any, spool: Any, child_endpoint: str) -> None:
        self._spool = spool
        #: Of the sending thread: ``spooled`` is called between the spool and the socket.
        self.local = threading.local()
        self._child_endpoint = child_endpoint
        super().__init__(socket, pipe=True, session=session)

    def send_multipart(self, *args: Any, **kwargs: Any) -> None:
        """Keep the message, then queue it; who sends faster than the thread can publish has to wait."""
        if self._is_master_process():
            self._spool.append(args[0])
            if (spooled := getattr(self.local, "spooled", None)) is not None:
                spooled()
            while len(self._events) > QUEUE_LIMIT and self._others_wait_for_it():
                time.sleep(QUEUE_WAIT_S)
        super().send_multipart(*args, **kwargs)

    def _really_send(self, *args: Any, **kwargs: Any) -> None:
        """Send, then look for subscriptions.

        libzmq tells of what arrives only once, and a send may take that notice along: without this look a client that
        subscribes at the wrong moment would never be welcomed.
        """
        super()._really_send(*args, **kwargs)
        if self._is_master_process() and not self.closed and self.socket.get(zmq.EVENTS) & zmq.POLLIN:
            self._xpub_stream.flush(zmq.POLLIN)

    def _others_wait_for_it(self) -> bool:
        return self.thread.is_alive() and threading.current_thread() is not self.thread

    def flush_queue(self) -> None:
        """Send what is queued; only from the IOPub thread itself."""
        if threading.current_thread() is self.thread:
            self._handle_event(None)

    def _setup_pipe_in(self) -> None:
        self._pipe_uuid = os.urandom(16)
        receiver = self.socket.context.socket(zmq.PULL)
        receiver.linger = 0
        receiver.bind(self._child_endpoint)
        self._pipe_in = ZMQStream(receiver, self.io_loop)
        self._pipe_in.on_recv(self._handle_pipe_msg)

    def _setup_pipe_out(self) -> tuple[Any, Any]:
        context: zmq.Context[Any] = zmq.Context()
        sender = context.socket(zmq.PUSH)
        sender.linger = 3000
        sender.connect(self._child_endpoint)
        return context, sender
