"""Builds a kernel before the fork, and attaches it to its sockets after it.

Everything that holds no socket, thread or event loop is made once, in the zygote: configuration, the shell and its
magics, the kernel object, and whatever a warm-up cell imports. What is left for the child is a few milliseconds, and
the memory it would have touched stays shared.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import faulthandler
import gc
import importlib
import logging
import os
import random
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import zmq
from ipykernel.displayhook import ZMQDisplayHook
from ipykernel.kernelapp import IPKernelApp
from IPython.core.application import BaseIPythonApplication
from tornado import ioloop
from traitlets.config import Config
from zmq.eventloop.zmqstream import ZMQStream

from .figure_notes import watch_saving
from .file_index import FilesTable
from .handles import KernelHandles, KernelPlaces
from .init import CELL_OVER, READY
from .kernel import KernelSession, ThreadbookKernel, flush_streams
from .load_file import make_load_file
from .memory_errors import MemoryErrors
from .protocol import PORTS
from .rehearsal import rehearse
from .spool import Pending, Spool
from .streams import KernelStream, SpoolingIOPubThread
from .turns import LONG_TURN_NS, USUAL_TURN_NS, take_turns_of

#: A new kernel's first cell comes before what only later ones need, in seconds.
SETTLE_AFTER_S = 0.5
#: Objects that a new kernel may make before it looks for cycles among them: a first figure makes many, and little garbage.
FIRST_COLLECTION = 20_000


class KernelApp(IPKernelApp):
    """ipykernel's application, cut in two at the fork."""

    kernel_class = ThreadbookKernel
    blas_setters: Sequence[Callable[[int], object]] = ()

    def build(self) -> None:
        """Make everything that needs no socket, thread or event loop."""
        BaseIPythonApplication.initialize(self, [])
        self.init_pdb()
        self.session = KernelSession(parent=self, check_pid=False)
        self.displayhook = ZMQDisplayHook(self.session, None)
        with _without_debugpy():
            self.kernel = ThreadbookKernel.instance(
                parent=self, session=self.session, log=self.log, profile_dir=self.profile_dir, user_ns=self.user_ns
            )
        self.session.limiter = self.kernel.limiter
        self.displayhook.get_execution_count = lambda: self.kernel.execution_count
        self.init_path()
        self.init_shell()
        self.init_gui_pylab()
        self.init_extensions()
        self.init_code()
        self.patch_io()

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """A kernel has no configuration files: nobody's home is read."""

    def attach(self, handles: KernelHandles) -> None:
        """Serve the sockets of ``handles`` from now on."""
        self._become_new_session(handles.connection)
        spool = Spool(handles.spool)
        self._open_sockets(handles, spool)
        self._redirect_streams(handles)
        self._attach_kernel(spool)
        self.iopub_thread.start()
        self.kernel.start()

    def _become_new_session(self, connection: dict[str, Any]) -> None:
        self.session.key = connection["key"].encode()
        self.session.session, self.session.message_count = uuid.uuid4().hex, 0
        self.session.pid = os.getpid()
        self.kernel.ident = str(uuid.uuid4())
        self.transport = connection["transport"]
        self.ip = connection["ip"]
        for name in PORTS:
            setattr(self, name, connection[name])

    def _open_sockets(self, handles: KernelHandles, spool: Spool) -> None:
        self.context = context = zmq.Context()
        sockets = {name: context.socket(zmq.ROUTER) for name in ("shell", "stdin", "control")}
        for name, socket in sockets.items():
            socket.linger = 1000
            socket.router_handover = 1
            self._serve(socket, handles, name)
        self.shell_socket, self.stdin_socket, self.control_socket = sockets.values()
        publisher = context.socket(zmq.XPUB)
        publisher.linger = 1000
        publisher.sndhwm = 0  # the limiter bounds what is queued; a full queue would lose the end of a cell
        publisher.xpub_verbose = True  # else only the first of several clients would be welcomed
        self._serve(publisher, handles, "iopub")
        self.iopub_thread = SpoolingIOPubThread(publisher, self.session, spool, handles.child_endpoint)
        self.iopub_socket = self.iopub_thread.background_socket
        heartbeat = context.socket(zmq.ROUTER)
        heartbeat.linger = 0
        self._serve(heartbeat, handles, "hb")
        echo = ZMQStream(heartbeat, self.iopub_thread.io_loop)
        echo.on_recv(echo.send_multipart)
        self._heartbeat_stream = echo

    def _serve(self, socket: Any, handles: KernelHandles, channel: str) -> None:
        """Have ``socket`` accept from the listening socket of a channel, which was bound before."""
        port = f"{channel}_port"
        socket.use_fd = handles.listeners[port]
        self._bind_socket(socket, handles.connection[port])

    def _redirect_streams(self, handles: KernelHandles) -> None:
        for name, pipe in zip(("stdout", "stderr"), handles.stream_reads, strict=True):
            pending = Pending(handles.pending[name])
            setattr(sys, name, KernelStream(self.session, self.iopub_thread, name, pipe, pending))
        self.displayhook.pub_socket = self.iopub_socket
        sys.displayhook = self.displayhook
        faulthandler.enable(2)

    def _attach_kernel(self, spool: Spool) -> None:
        kernel, shell = self.kernel, self.kernel.shell
        kernel.spool = spool
        kernel.iopub_thread, kernel.iopub_socket = self.iopub_thread, self.iopub_socket
        kernel.stdin_socket = self.stdin_socket
        kernel._stdout, kernel._stderr = sys.stdout, sys.stderr
        kernel.shell_stream = ZMQStream(self.shell_socket)
        # The control channel shares the IOPub thread: one thread less, and it answers while a cell runs all the same.
        kernel.control_stream = ZMQStream(self.control_socket, self.iopub_thread.io_loop)
        for publisher in (shell.displayhook, shell.display_pub):
            publisher.session = self.session
            publisher.pub_socket = self.iopub_socket
        shell.displayhook.topic = kernel._topic("execute_result")
        kernel.record_ports({name: getattr(self, name) for name in PORTS})

    def close(self) -> None:
        """Close the sockets; what is queued still goes out."""
        self.reset_io()
        self.iopub_thread.stop()
        if self.context is not None:
            self.context.destroy(linger=1000)

    def detach(self) -> None:
        """Undo :meth:`attach`, so that it can be done again: no socket, thread or event loop is left."""
        kernel = self.kernel
        streams = (kernel.shell_stream, kernel.control_stream, self._heartbeat_stream)
        for stream in streams:
            stream.close()
        for output in (sys.stdout, sys.stderr):
            cast("KernelStream", output).detach_pipe()
        atexit.unregister(self.iopub_thread.stop)
        self.close()
        kernel.shell_stream = kernel.control_stream = None
        kernel.stdin_socket = kernel.iopub_socket = kernel.iopub_thread = kernel.spool = None
        kernel._main_asyncio_lock = asyncio.Lock()
        kernel.set_parent([], {}, "shell")
        kernel.set_parent([], {}, "control")
        self.context = self.iopub_thread = self.iopub_socket = None
        ioloop.IOLoop.current().close(all_fds=False)
        asyncio.set_event_loop(None)


def build(preload: Sequence[str], *, warm_up: bool = True) -> KernelApp:
    """Import ``preload``, build the kernel and warm it up; the process stays single-threaded."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.cache_size = 200
    config.Completer.use_jedi = False
    config.ThreadbookKernel._execute_sleep = 0.0
    config.KernelApp.log_level = logging.CRITICAL
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    app = KernelApp.instance(config=config)
    app.build()
    if "" not in sys.path:  # isolated mode leaves it out; a cell imports what lies in its working folder, as everywhere
        sys.path.insert(0, "")
    with app.kernel.shell.builtin_trap:  # pandas, when it is imported, looks whether it is in a notebook or a terminal
        for name in preload:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    watch_saving()
    if warm_up:
        rehearse(app)
    app.blas_setters = _find_blas_setters()
    return app


@contextlib.contextmanager
def _without_debugpy() -> Iterator[None]:
    """The debug adapter wants threads and TCP ports that a kernel here does not have."""
    saved = sys.modules.get("debugpy")
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["debugpy"]
        if saved is not None:
            sys.modules["debugpy"] = saved


def freeze() -> None:
    """Make the heap as still as it gets, so that forks share it: to be called right before serving."""
    _close_fonts()
    gc.collect()
    gc.freeze()
    gc.disable()


def _close_fonts() -> None:
    """Let go of Matplotlib's open font files; each fork would, and close descriptors that are somebody else's by then."""
    fonts = sys.modules.get("matplotlib.font_manager")
    if (cached := getattr(fonts, "_get_font", None)) is not None:
        cached.cache_clear()


def run(app: KernelApp, handles: KernelHandles, places: KernelPlaces, wait: Callable[[], object] = lambda: None) -> None:
    """In the kernel's own process: attach, report, and serve until the kernel is shut down.

    ``wait`` returns when everything around this process is ready, too; no code of
    a stranger runs before.
    """
    take_turns_of(LONG_TURN_NS)
    usual = gc.get_threshold()
    gc.set_threshold(FIRST_COLLECTION, *usual[1:])
    gc.enable()
    _reseed()
    app.kernel.interrupts.install()
    files = FilesTable(places.files)
    app.kernel.shell.provide(load_file=make_load_file(places.files), list_files=files.list_files, FILES=files)
    sys.path.append(places.packages)  # last: it adds to the environment, and never shadows it
    MemoryErrors().attach(app.kernel.shell)
    app.attach(handles)
    _flush_on_hard_exit()
    atexit.register(app.close)
    app.kernel.on_cell_over = lambda: _tell(handles.news, CELL_OVER)
    wait()
    os.write(handles.news, READY)
    loop = ioloop.IOLoop.current()
    loop.call_later(SETTLE_AFTER_S, _settle, app.blas_setters, usual)
    _serve(loop)


def _serve(loop: ioloop.IOLoop) -> None:
    """Serve until the kernel is shut down; an interrupt that ends a task of a cell's own comes out of the loop, too."""
    while True:
        try:
            loop.start()
        except KeyboardInterrupt:
            continue
        return


def _tell(news: int, what: bytes) -> None:
    with contextlib.suppress(OSError):  # full: the init has enough to read
        os.write(news, what)


def _reseed() -> None:
    random.seed()
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()


def _find_blas_setters() -> list[Callable[[int], object]]:
    """Return what sets the number of threads of each OpenBLAS that is loaded."""
    setters: list[Callable[[int], object]] = []
    for path in _loaded_libraries("openblas"):
        library = ctypes.CDLL(path)
        symbols = ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_", "openblas_set_num_threads")
        setters += [getattr(library, symbol) for symbol in symbols if hasattr(library, symbol)][:1]
    return setters


def _loaded_libraries(part: str) -> set[str]:
    try:
        with open("/proc/self/maps") as maps:
            return {line.split()[-1] for line in maps if part in line and ".so" in line}
    except OSError:
        return set()


def _settle(blas_setters: Sequence[Callable[[int], object]], collections: tuple[int, int, int]) -> None:
    take_turns_of(USUAL_TURN_NS)
    gc.set_threshold(*collections)
    _restore_threads(blas_setters)


def _restore_threads(setters: Sequence[Callable[[int], object]]) -> None:
    """OpenBLAS was told to start no threads before the fork; a kernel gets as many as it has processors, a little later."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "JE_ARROW_MALLOC_CONF"):
        os.environ.pop(name, None)
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    if count > 1:
        for set_threads in setters:
            set_threads(count)


def _flush_on_hard_exit() -> None:
    """``os._exit`` skips every flush; what was printed before it is wanted all the same."""
    hard_exit, kernel_pid = os._exit, os.getpid()

    def _exit(status: int) -> None:
        if os.getpid() == kernel_pid:
            with contextlib.suppress(Exception):
                ctypes.CDLL(None).fflush(None)
                flush_streams()
        hard_exit(status)

    _exit.__doc__ = hard_exit.__doc__
    os._exit = _exit  # type: ignore[assignment]
