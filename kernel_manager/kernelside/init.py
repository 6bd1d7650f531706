"""The supervisor of one kernel: its parent, and the one process that always knows how it is.

It starts the kernel, keeps the cell's deadline, passes on signals, ends the kernel when nobody wants it any more,
reaps, and writes down how the kernel ended. It outlives the service that asked for the kernel. Standard library only.

Requests on ``init.sock`` (see :mod:`protocol`), each answered with ``{"ok": true, …}``:

``hello``                      → ``kernel_pid``, ``ready``, ``armed``, ``deadline_hit``
``arm`` seconds, grace         the cell's clock: SIGINT after ``seconds``, SIGKILL after ``grace`` more
``disarm``                     the clock stops (the cell is over, or waits for input)
``signal`` number              to the kernel's process group
``stop`` reason                SIGKILL, now, to everything
``lease``                      no end for idleness as long as this connection stands

The kernel says over a pipe when it listens and when a cell is over. Code can forge that, so it counts only while no client
is connected: then nobody else would stop the clock of a cell whose service was killed.

Events: ``ready``; ``deadline`` (a SIGINT follows); ``limit`` (one follows because a limit is passed); ``exit`` with the
contents of ``exit.json``.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from . import protocol
from .enclosure import Enclosure
from .handles import KernelHandles, Pipes, open_for_kernel

LEFTOVER_LIMIT = 64 * 1024
MAX_CLIENTS = 32
MAX_REQUESTS_AT_ONCE = 64
START_LIMIT_S = 600.0
#: What a kernel tells its init, a byte each.
READY = b"r"
CELL_OVER = b"o"

#: Between cells a kernel has this long to finish what it does in the background, in seconds; then it is slowed down.
SETTLE_S = 5.0
#: After an interrupt for a limit that was passed, a kernel has this long to come below it.
LIMIT_GRACE_S = 3.0

#: Starts the kernel within the enclosure and returns its pid.
StartKernel = Callable[[Enclosure, Pipes, KernelHandles], int]


class Init:
    """Runs until the kernel has ended and everybody who listens was told. ``held`` is a descriptor to keep open until then."""

    def __init__(self, kernel_dir: str, idle_timeout: float, enclosure: Enclosure, held: int | None = None) -> None:
        self._dir = kernel_dir
        self._held = () if held is None else (held,)
        self._idle_timeout = idle_timeout
        self._enclosure = enclosure
        self._last_used = time.monotonic()
        self._deadline: float | None = None
        self._grace = 0.0
        self._kill_at: float | None = None
        self._killed_by: str | None = None
        self._ready = False
        self._pid = 0
        self._deadline_hit = False
        self._clients: dict[int, socket.socket] = {}
        self._leases: set[int] = set()
        self._asking = -1
        self._watch_at: float | None = None
        self._slowed = False
        self._over_since: float | None = None
        self._handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "arm": self._arm,
            "disarm": self._disarm,
            "signal": self._signal,
            "stop": self._stop,
            "lease": self._lease,
        }

    def run(self, start_kernel: StartKernel) -> None:
        """Start the kernel and supervise it to its end."""
        server = protocol.listening_socket(os.path.join(self._dir, protocol.INIT_SOCKET))
        server.setblocking(False)
        self._report_fd = os.open(os.path.join(self._dir, protocol.EXIT_FILE), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        wake = self._watch_children()
        self._pipes = pipes = Pipes()
        handles = open_for_kernel(self._dir, (pipes.stdout_read, pipes.stderr_read), pipes.news_write)
        self._enclosure.enter(
            [2, server.fileno(), self._report_fd, *wake, *pipes.of_init, *self._held],
            [*pipes.of_kernel, *handles.listeners.values()],
        )
        self._pid = start_kernel(self._enclosure, pipes, handles)
        self._selector = selectors.DefaultSelector()
        self._selector.register(server, selectors.EVENT_READ, self._accept)
        self._selector.register(wake[0], selectors.EVENT_READ, self._on_wake)
        self._selector.register(pipes.news_read, selectors.EVENT_READ, self._on_ready)
        self._started = time.monotonic()
        self._plan_watch()
        status = self._serve()
        self._enclosure.end_all()
        self._report(status)
        server.close()

    def _watch_children(self) -> tuple[int, int]:
        """Return a pipe that becomes readable when a child ends or the init itself is told to end."""
        wake, write = os.pipe()
        for fd in (wake, write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._kill("stop"))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return wake, write

    def _serve(self) -> int:
        """Handle requests and timers until the kernel has ended; return its wait status."""
        while True:
            for key, _ in self._selector.select(self._next_timer()):
                key.data(key.fileobj)
            if (status := self._reap()) is not None:
                return status
            self._fire_timers()

    def _reap(self) -> int | None:
        """Collect children that ended; orphans of the kernel come here as well."""
        status = None
        while True:
            try:
                pid, value, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return status
            if pid == 0:
                return status
            if pid == self._pid:
                status, self._max_rss_kb = value, usage.ru_maxrss

    # --- timers ---------------------------------------------------------------------------------------------------

    def _next_timer(self) -> float | None:
        times = [moment for moment in (self._deadline, self._kill_at, self._watch_at) if moment is not None]
        if self._deadline is None and not self._leases:
            times.append(self._last_used + self._idle_limit())
            if self._is_resting() and not self._slowed:
                times.append(self._last_used + SETTLE_S)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _fire_timers(self) -> None:
        now = time.monotonic()
        if self._watch_at is not None and now >= self._watch_at:
            self._watch(now)
        if self._is_resting() and not self._slowed and now >= self._last_used + SETTLE_S:
            self._slow_down(True)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill("deadline")
        elif self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._deadline_hit = True
            self._kill_at = now + self._grace
            # first: whoever sees what the interrupt did can know by then why it was sent
            self._broadcast({"event": "deadline"})
            self._signal_group(signal.SIGINT)
        elif self._may_be_idle() and now >= self._last_used + self._idle_limit():
            self._kill("idle")

    def _idle_limit(self) -> float:
        """A kernel that is still starting is not idle; one that never comes up ends all the same."""
        return self._idle_timeout if self._ready else max(self._idle_timeout, START_LIMIT_S)

    def _may_be_idle(self) -> bool:
        return self._deadline is None and self._kill_at is None and not self._leases

    # --- limits ---------------------------------------------------------------------------------------------------

    def _is_resting(self) -> bool:
        """Between cells: what still runs in the kernel runs by itself."""
        return self._ready and self._may_be_idle()

    def _slow_down(self, slowed: bool) -> None:
        if slowed != self._slowed:
            self._slowed = slowed
            self._enclosure.slow_down(slowed)

    def _plan_watch(self) -> None:
        if self._enclosure.watch_s is not None:
            self._watch_at = time.monotonic() + self._enclosure.watch_s[self._is_resting()]

    def _watch(self, now: float) -> None:
        """End a kernel that passes a limit; a cell that fills the working folder is interrupted first."""
        excess = self._enclosure.excess()
        if excess is None:
            self._over_since = None
        elif excess.limit == "workspace":
            self._bound_workspace(now, grave=excess.grave)
        else:
            self._kill(excess.limit)
        self._plan_watch()

    def _bound_workspace(self, now: float, *, grave: bool) -> None:
        """Between cells a folder that is only a little too full is left alone: the next cell may clear it out."""
        runs = self._deadline is not None or self._kill_at is not None
        if not (runs or grave):
            self._over_since = None
        elif self._over_since is None:
            self._over_since = now
            self._broadcast({"event": "limit", "limit": "workspace"})
            self._signal_group(signal.SIGINT)
        elif now >= self._over_since + LIMIT_GRACE_S:
            self._kill("workspace")

    # --- requests -------------------------------------------------------------------------------------------------

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client, _ = server.accept()
            if len(self._clients) >= MAX_CLIENTS or not self._enclosure.trusts(client):
                client.close()
                return
            client.setblocking(False)
            self._clients[client.fileno()] = client
            self._watch_news(alone=False)
            self._selector.register(client, selectors.EVENT_READ, self._on_request)

    def _on_request(self, client: socket.socket) -> None:
        """Answer all that a client has asked for so far, so that it counts before anything that others ask later."""
        for _ in range(MAX_REQUESTS_AT_ONCE):
            try:
                packet = client.recv(protocol.MAX_PACKET)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it left with a reply unread; what it had sent before is still here to be read
            except OSError:
                packet = b""
            if not packet:
                self._drop(client)
                return
            self._asking = client.fileno()
            self._send(client, self._answer(packet))

    def _answer(self, packet: bytes) -> dict[str, Any]:
        try:
            request = protocol.decode(packet)
            reply = self._handlers[request["op"]](request)
        except (ValueError, KeyError, TypeError) as exc:
            return {"ok": False, "error": f"{type(exc).__name__}: {exc}"}
        if request["op"] != "hello":  # who only looks does not use it
            self._last_used = time.monotonic()
        return {"ok": True, **reply}

    def _hello(self, _request: dict[str, Any]) -> dict[str, Any]:
        armed = self._deadline is not None or self._kill_at is not None
        return {"kernel_pid": self._pid, "ready": self._ready, "armed": armed, "deadline_hit": self._deadline_hit}

    def _arm(self, request: dict[str, Any]) -> dict[str, Any]:
        self._slow_down(False)
        self._deadline = time.monotonic() + float(request["seconds"])
        self._grace = float(request["grace"])
        self._kill_at = None
        self._deadline_hit = False
        self._over_since = None
        self._news()  # of earlier cells
        self._plan_watch()
        return {}

    def _disarm(self, _request: dict[str, Any]) -> dict[str, Any]:
        self._deadline = self._kill_at = None
        return {}

    def _lease(self, _request: dict[str, Any]) -> dict[str, Any]:
        self._leases.add(self._asking)
        self._slow_down(False)
        return {}

    def _signal(self, request: dict[str, Any]) -> dict[str, Any]:
        self._signal_group(int(request["number"]))
        return {}

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        self._kill(str(request.get("reason", "stop")))
        return {}

    def _on_ready(self, _fd: int) -> None:
        """The first news is that the kernel listens; what follows is looked at when it matters."""
        self._selector.unregister(self._pipes.news_read)
        self._ready = READY in self._news()
        if self._ready:
            self._last_used = time.monotonic()
            self._broadcast({"event": "ready"})

    def _on_cell_over(self, _fd: int) -> None:
        """A cell that nobody watches is over: nobody else would stop its clock."""
        news = self._news()
        if CELL_OVER in news:
            self._disarm({})
            self._last_used = time.monotonic()
        elif not news:
            with contextlib.suppress(KeyError):  # a client that came in the same moment has seen to it
                self._selector.unregister(self._pipes.news_read)

    def _news(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self._pipes.news_read, 64 * 1024)
        return b""

    def _watch_news(self, *, alone: bool) -> None:
        """Look at the kernel's news only while no client is connected: it would wake this process with every cell."""
        if self._ready:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._pipes.news_read)
            if alone:
                self._selector.register(self._pipes.news_read, selectors.EVENT_READ, self._on_cell_over)

    def _on_wake(self, fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(fd, 512)

    # --- the kernel -----------------------------------------------------------------------------------------------

    def _kill(self, reason: str) -> None:
        self._killed_by = self._killed_by or reason
        self._deadline = self._kill_at = None
        self._last_used = time.monotonic()
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        """Signal the kernel and what it started in its own process group, as a terminal would."""
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def _report(self, status: int) -> None:
        """Write ``exit.json`` and tell everybody."""
        code = os.waitstatus_to_exitcode(status)
        report = {
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "killed_by": self._killed_by,
            "was_ready": self._ready,
            "peak_memory_bytes": self._max_rss_kb * 1024,
            "lived_s": round(time.monotonic() - self._started, 3),
            "stdout": _leftover(self._pipes.stdout_read),
            "stderr": _leftover(self._pipes.stderr_read),
            **self._enclosure.evidence(),
        }
        with contextlib.suppress(OSError):
            # the line's end says that it is whole
            _write_all(self._report_fd, json.dumps(report).encode() + b"\n")
        self._broadcast({"event": "exit"})

    # --- listeners ------------------------------------------------------------------------------------------------

    def _broadcast(self, message: dict[str, Any]) -> None:
        for client in list(self._clients.values()):
            self._send(client, message)

    def _send(self, client: socket.socket, message: dict[str, Any]) -> None:
        # one that has left is dropped when all that it had asked for is read
        with contextlib.suppress(OSError):
            client.send(protocol.encode(message))

    def _drop(self, client: socket.socket) -> None:
        if self._clients.pop(client.fileno(), None) is not None:
            if client.fileno() in self._leases:
                self._leases.discard(client.fileno())
                self._last_used = time.monotonic()
            self._selector.unregister(client)
            client.close()
            if not self._clients:
                self._watch_news(alone=True)


def fork_kernel(kernel: Callable[[KernelHandles, Callable[[], object]], None]) -> StartKernel:
    """Return what starts a kernel as a fork of the init; ``kernel`` gets its handles and what to wait for before it serves."""

    def start(enclosure: Enclosure, pipes: Pipes, handles: KernelHandles) -> int:
        forked = enclosure.fork()
        if forked.pid:
            return forked.pid
        status = 70
        try:
            pipes.become_kernel_side()
            _reset_signals()
            kernel(handles, forked.wait)
            status = 0
        except BaseException:  # noqa: BLE001  (nothing may return into the init's code)
            status = _report_failure()
        finally:
            leave(status)

    return start


def leave(status: int) -> NoReturn:
    """End this process after what is registered for its exit; never returns."""
    import atexit

    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    os._exit(status)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _report_failure() -> int:
    import traceback

    exc = sys.exc_info()[1]
    if isinstance(exc, SystemExit):
        return exc.code if isinstance(exc.code, int) else 0
    with contextlib.suppress(Exception):
        os.write(2, "".join(traceback.format_exception(exc)).encode(errors="replace"))
    return 70


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _leftover(fd: int) -> str:
    """Return what is still in a pipe whose writers are gone."""
    os.set_blocking(fd, False)
    data = b""
    with contextlib.suppress(OSError):
        while len(data) < LEFTOVER_LIMIT and (chunk := os.read(fd, LEFTOVER_LIMIT)):
            data += chunk
    return data[:LEFTOVER_LIMIT].decode(errors="replace")
