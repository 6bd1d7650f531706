"""The zygote: one process that has imported everything and forks a kernel on request.

It stays single-threaded and does nothing but wait, fork and reap. Requests come on its socket (see :mod:`protocol`):

``fork`` kernel_id, user, session, idle_timeout → ``pid`` of the new kernel's init
``status``                                      → ``pid``, ``kernels`` (number), ``draining``
``drain``                                       end as soon as the last kernel has ended

Paths are built here, from ids; a client sends none.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import protocol
from .init import Init, same_user, start_child

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Layout:
    """Where things are on this host."""

    runtime: str
    data: str

    def kernel_dir(self, kernel_id: str) -> str:
        """The runtime folder of one kernel."""
        return os.path.join(self.runtime, "k", _checked(kernel_id))

    def workspace(self, user: str, session: str) -> str:
        """The working folder of one session."""
        return os.path.join(self.data, "sessions", _checked(user), _checked(session), "workspace")

    def files(self, user: str) -> str:
        """The folder of one user's files."""
        return os.path.join(self.data, "files", _checked(user))

    def packages(self, user: str) -> str:
        """The overlay of one user in this environment: what was installed for them; it need not exist."""
        return os.path.join(self.data, "packages", _checked(user), os.path.basename(sys.prefix), "current")


class Zygote:
    """Serves fork requests until it is idle for ``idle_timeout`` seconds with no kernel alive."""

    def __init__(self, server: socket.socket, layout: Layout, app: Any, idle_timeout: float) -> None:
        self._server = server
        self._layout = layout
        self._app = app
        self._idle_timeout = idle_timeout
        self._idle_since = time.monotonic()
        self._inits: set[int] = set()
        self._clients: set[socket.socket] = set()
        self._draining = False
        self._selector = selectors.DefaultSelector()
        self._handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "fork": self._fork,
            "status": self._status,
            "drain": self._drain,
        }

    def serve(self) -> None:
        """Serve until there is nothing left to keep."""
        self._server.setblocking(False)
        self._wake, write = os.pipe()
        for fd in (self._wake, write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._server, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake, selectors.EVENT_READ, self._on_wake)
        while not self._done():
            for key, _ in self._selector.select(self._wait()):
                key.data(key.fileobj)
            self._reap()

    def _done(self) -> bool:
        if self._inits:
            return False
        return self._draining or time.monotonic() >= self._idle_since + self._idle_timeout

    def _wait(self) -> float | None:
        if self._inits:
            return None
        return max(0.0, self._idle_since + self._idle_timeout - time.monotonic())

    def _reap(self) -> None:
        while self._inits:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._inits.clear()
                return
            if pid == 0:
                return
            self._inits.discard(pid)
            self._idle_since = time.monotonic()

    def _on_wake(self, fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(fd, 512)

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client, _ = server.accept()
            if not same_user(client):
                client.close()
                return
            client.setblocking(False)
            self._clients.add(client)
            self._selector.register(client, selectors.EVENT_READ, self._on_request)

    def _on_request(self, client: socket.socket) -> None:
        packet = b""
        with contextlib.suppress(OSError):
            packet = client.recv(protocol.MAX_PACKET)
        if packet:
            with contextlib.suppress(OSError):
                client.send(protocol.encode(self._answer(packet)))
                return
        self._selector.unregister(client)
        self._clients.discard(client)
        client.close()

    def _answer(self, packet: bytes) -> dict[str, Any]:
        try:
            request = protocol.decode(packet)
            if request.get("v") != protocol.PROTOCOL_VERSION:
                return {"ok": False, "error": f"protocol version {protocol.PROTOCOL_VERSION} is spoken here"}
            return {"ok": True, **self._handlers[request["op"]](request)}
        except (ValueError, KeyError, TypeError, OSError, RuntimeError) as exc:
            return {"ok": False, "error": f"{type(exc).__name__}: {exc}"}

    def _status(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {"pid": os.getpid(), "kernels": len(self._inits), "draining": self._draining}

    def _drain(self, _request: dict[str, Any]) -> dict[str, Any]:
        self._draining = True
        return self._status({})

    def _fork(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._draining:
            raise RuntimeError("this zygote is draining")
        plan = kernel_plan(self._layout, request)
        _assert_single_threaded()
        pid = os.fork()
        if pid == 0:
            self._become_init(plan)
        self._inits.add(pid)
        return {"pid": pid}

    def _become_init(self, plan: KernelPlan) -> None:
        """In the child: let go of everything of the zygote, then supervise a kernel; never returns."""
        try:
            signal.set_wakeup_fd(-1)
            os.setsid()
            self._selector.close()
            for sock in (self._server, *self._clients):
                sock.close()
            app = self._app
            start_kernel = start_child(lambda pipes, news: _become_kernel(app, plan, pipes, news))
            Init(plan.kernel_dir, plan.idle_timeout).run(start_kernel)
        except BaseException as exc:  # noqa: BLE001  (nothing may return into the zygote's loop)
            _log(plan.kernel_dir, exc)
        finally:
            os._exit(0)


@dataclass(frozen=True)
class KernelPlan:
    """What one kernel needs to know."""

    kernel_dir: str
    workspace: str
    files: str
    packages: str
    idle_timeout: float
    connection: dict[str, Any]


def kernel_plan(layout: Layout, request: dict[str, Any]) -> KernelPlan:
    """Check a request's ids and return the folders they stand for; raises ValueError or OSError."""
    kernel_dir = layout.kernel_dir(str(request["kernel_id"]))
    with open(os.path.join(kernel_dir, protocol.CONNECTION_FILE)) as file:
        connection = json.load(file)
    workspace = layout.workspace(str(request["user"]), str(request["session"]))
    if not os.path.isdir(workspace):
        raise FileNotFoundError(f"no working folder {workspace}")
    user = str(request["user"])
    idle_timeout = float(request["idle_timeout"])
    return KernelPlan(kernel_dir, workspace, layout.files(user), layout.packages(user), idle_timeout, connection)


def _become_kernel(app: Any, plan: KernelPlan, pipes: Sequence[int], news: int) -> None:
    from . import app as kernel_app

    os.chdir(plan.workspace)
    os.environ["HOME"] = plan.workspace
    kernel_app.run(app, plan, pipes, news)


def main(server: socket.socket, layout: Layout, preload: Sequence[str], idle_timeout: float) -> None:
    """Build the kernel, then serve. The process has its own session and no descriptors but ``server``."""
    from . import app as kernel_app

    app = kernel_app.build(preload)
    kernel_app.freeze()
    Zygote(server, layout, app, idle_timeout).serve()


def _checked(identifier: str) -> str:
    if not _ID.fullmatch(identifier):
        raise ValueError(f"not an id: {identifier[:80]!r}")
    return identifier


def _assert_single_threaded() -> None:
    """A fork takes one thread along; the others' locks would stay locked for ever."""
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError:
        return
    if threads != 1:
        raise RuntimeError(f"the zygote has {threads} threads; a preloaded module started one")


def _log(kernel_dir: str, exc: BaseException) -> None:
    import traceback

    with contextlib.suppress(OSError), open(os.path.join(kernel_dir, protocol.LOG_FILE), "a") as log:
        traceback.print_exception(exc, file=log)
    sys.stderr.flush()
