"""The zygote: one process that has imported everything and forks a kernel on request.

It stays single-threaded and does nothing but wait, fork and reap. Requests come on its socket (see :mod:`protocol`):

``fork`` kernel_id, user, session, idle_timeout → ``pid`` of the new kernel's init
``status``                                      → ``pid``, ``kernels`` (number), ``draining``
``drain``                                       end as soon as the last kernel has ended

Paths are built here, from ids; a client sends none.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import containment, protocol
from .containment import Containment, Demand
from .enclosure import Enclosure, NoEnclosure, same_user
from .handles import KernelHandles, KernelPlaces
from .init import Init, fork_kernel
from .jail import JailError, spawn
from .jail.policy import FILES, PACKAGES, WORKSPACE
from .jail_enclosure import JailEnclosure

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

    def selected_files(self, user: str, session: str) -> str:
        """The folder of the files that were chosen for one session."""
        return os.path.join(self.data, "sessions", _checked(user), _checked(session), "files")

    def packages(self, user: str) -> str:
        """What was installed for one user in this environment; its ``current`` is the overlay, and is replaced."""
        return os.path.join(self.data, "packages", _checked(user), os.path.basename(sys.prefix))


class Zygote:
    """Serves fork requests until it is idle for ``idle_timeout`` seconds with no kernel alive."""

    def __init__(
        self,
        server: socket.socket,
        layout: Layout,
        app: Any,
        idle_timeout: float,
        contained: Containment,
        held: int | None,
    ) -> None:
        self._server = server
        self._held = held
        self._contained = contained
        self._layout = layout
        self._app = app
        self._idle_timeout = idle_timeout
        self._idle_since = time.monotonic()
        self._inits: dict[int, Enclosure] = {}
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
            if (enclosure := self._inits.pop(pid, None)) is not None:
                dispose(enclosure)
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
        except (ValueError, KeyError, TypeError, OSError, RuntimeError, JailError) as exc:
            return {"ok": False, "error": f"{type(exc).__name__}: {exc}"}

    def _status(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {"pid": os.getpid(), "kernels": len(self._inits), "draining": self._draining, **self._contained.report()}

    def _drain(self, _request: dict[str, Any]) -> dict[str, Any]:
        self._draining = True
        return self._status({})

    def _fork(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._draining:
            raise RuntimeError("this zygote is draining")
        plan = kernel_plan(self._layout, request)
        _assert_single_threaded()
        enclosure = enclose(self._contained, plan)
        pid = fork_init(enclosure)
        if pid == 0:
            become_init(plan, enclosure, lambda: self._app, self._held)
        if isinstance(enclosure, JailEnclosure) and enclosure.plan.group is not None:
            enclosure.plan.group.close()
        self._inits[pid] = enclosure
        return {"pid": pid, "missing": self._contained.missing}


@dataclass(frozen=True)
class KernelPlan:
    """What one kernel needs to know."""

    kernel_id: str
    user: str
    kernel_dir: str
    workspace: str
    files: str
    packages: str
    idle_timeout: float


def kernel_plan(layout: Layout, request: dict[str, Any]) -> KernelPlan:
    """Check a request's ids and return the folders they stand for; raises ValueError or OSError.

    A request for a kernel whose folder is gone comes too late: whoever asked has given up. The key is not read here: what the
    zygote knows, every later kernel could find in its memory.
    """
    kernel_id, user = str(request["kernel_id"]), str(request["user"])
    kernel_dir = layout.kernel_dir(kernel_id)
    session = str(request["session"])
    workspace = layout.workspace(user, session)
    files = layout.selected_files(user, session) if request.get("selected") else layout.files(user)
    for path in (os.path.join(kernel_dir, protocol.CONNECTION_FILE), workspace):
        if not os.path.lexists(path):
            raise FileNotFoundError(f"{path} is not there")
    idle_timeout = float(request["idle_timeout"])
    return KernelPlan(kernel_id, user, kernel_dir, workspace, files, layout.packages(user), idle_timeout)


def enclose(contained: Containment, plan: KernelPlan) -> Enclosure:
    """Make the enclosure of a kernel; raises RuntimeError where the operator wants more than there is."""
    if (refusal := contained.refusal()) is not None:
        raise RuntimeError(refusal)
    return contained.enclosure(plan.kernel_id, plan.user, plan.workspace, plan.files, plan.packages)


def fork_init(enclosure: Enclosure) -> int:
    """Fork the process that will be the init: 0 in it."""
    return spawn(enclosure.plan.policy) if isinstance(enclosure, JailEnclosure) else os.fork()


def dispose(enclosure: Enclosure) -> None:
    """After the init was reaped: remove the kernel's control group."""
    if isinstance(enclosure, JailEnclosure) and (group := enclosure.plan.group) is not None:
        with contextlib.suppress(OSError, JailError):
            while not group.remove():
                group.kill()


def become_init(plan: KernelPlan, enclosure: Enclosure, build_app: Callable[[], Any], held: int | None) -> None:
    """In the forked child: let go of everything of its parent, then supervise a kernel; never returns."""
    try:
        signal.set_wakeup_fd(-1)
        if isinstance(enclosure, NoEnclosure):
            os.setsid()
        jailed = isinstance(enclosure, JailEnclosure)
        Init(plan.kernel_dir, plan.idle_timeout, enclosure, held).run(
            fork_kernel(lambda handles, wait: _become_kernel(build_app(), plan, handles, wait, jailed=jailed))
        )
    except BaseException as exc:  # noqa: BLE001  (nothing may return into the zygote's loop)
        _log(plan.kernel_dir, exc)
    finally:
        os._exit(0)


def _become_kernel(app: Any, plan: KernelPlan, handles: KernelHandles, wait: Callable[[], object], *, jailed: bool) -> None:
    from . import app as kernel_app

    if jailed:
        os.chdir(WORKSPACE)
        handles = replace(handles, child_endpoint=f"ipc://{os.environ['HOME']}/.displays")
    else:
        os.chdir(plan.workspace)
        os.environ["HOME"] = plan.workspace
    kernel_app.run(app, handles, places_of(plan, jailed=jailed), wait)


def places_of(plan: KernelPlan, *, jailed: bool) -> KernelPlaces:
    """Where the kernel of a plan finds what is its user's."""
    files, packages = (FILES, PACKAGES) if jailed else (plan.files, plan.packages)
    return KernelPlaces(files, os.path.join(packages, protocol.OVERLAY))


def main(
    server: socket.socket, layout: Layout, preload: Sequence[str], idle_timeout: float, demand: Demand, held: int | None
) -> None:
    """Build the kernel, then serve. The process has its own session, and no descriptors but ``server`` and ``held``."""
    from . import app as kernel_app

    looking = containment.Looking(demand, layout.runtime) if demand.sandbox != "none" else None
    app = kernel_app.build(preload)
    contained = containment.find(demand, looking.findings() if looking is not None else None)
    kernel_app.freeze()
    Zygote(server, layout, app, idle_timeout, contained, held).serve()


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

    text = "".join(traceback.format_exception(exc))
    try:
        with open(os.path.join(kernel_dir, protocol.LOG_FILE), "a") as log:
            log.write(text)
    except OSError:  # out of sight already: the zygote's own log is still open
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="replace"))
