"""The kernel: IPython's own, with bounded output, an in-memory history and clear ends of input."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fnmatch
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

from ipykernel.iostream import BackgroundSocket, IOPubThread
from ipykernel.ipkernel import IPythonKernel
from ipykernel.zmqshell import ZMQInteractiveShell
from jupyter_client.session import Session
from traitlets import Callable as CallableTrait

from . import pip_lines
from .figure_notes import NotingFormatter
from .interrupts import Interrupts, without_handler
from .json_packing import packed
from .output_limits import MESSAGE_LIMIT, DisplayLimiter, encodable, left_out, shorten_content
from .variables import variables

LIMITED_TYPES = {"display_data", "update_display_data", "execute_result", "clear_output"}
NO_ANSWER = "nobody answered; pass the value in the code instead of asking for it"


def flush_streams() -> None:
    """Publish what was printed so far, so that it comes before what follows."""
    for stream in (sys.stdout, sys.stderr):
        flush = getattr(stream, "flush_now", None)
        if flush is not None:
            flush()


class KernelSession(Session):
    """A Jupyter session whose IOPub side is bounded."""

    limiter: DisplayLimiter | None = None
    pack = CallableTrait(packed)

    def send(self, stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Send a message; displays pass the limiter first."""
        if isinstance(stream, (BackgroundSocket, IOPubThread)) and isinstance(msg_or_type, dict):
            shorten_content(msg_or_type["content"])
            if self.limiter is not None and msg_or_type.get("msg_type") in LIMITED_TYPES:
                return self._send_limited(stream, self.limiter.admit(msg_or_type), *args, **kwargs)
            if msg_or_type.get("msg_type") != "stream":
                flush_streams()
        elif isinstance(content, dict):
            shorten_content(content)
        return super().send(stream, msg_or_type, content, *args, **kwargs)

    def _send_limited(self, stream: Any, messages: list[dict[str, Any]], *args: Any, **kwargs: Any) -> Any:
        sent = None
        if messages:
            flush_streams()
        for message in messages:
            sent = super().send(stream, message, None, *args, **kwargs)
        return sent

    def serialize(self, msg: dict[str, Any], ident: Any = None) -> list[bytes]:
        """Return the message as frames; what no frame can carry is replaced, what is too large is left out."""
        try:
            frames = super().serialize(msg, ident)
        except UnicodeEncodeError:
            msg = {**msg, "content": encodable(msg["content"])}
            frames = super().serialize(msg, ident)
        size = sum(map(len, frames))
        if size > MESSAGE_LIMIT:
            frames = super().serialize({**msg, "content": left_out(msg["content"], size)}, ident)
        return frames


class NoShellChannelThread:
    """There are no subshells here; ipykernel asks this object for the main thread all the same."""

    parent_thread = threading.main_thread()

    def __bool__(self) -> bool:
        return False


class ThreadbookShell(ZMQInteractiveShell):
    """The shell, with our functions in its namespace from the start and after each ``%reset``.

    ``begin`` is called before each statement of a cell.
    """

    begin: Callable[[], object] = staticmethod(lambda: None)

    def provide(self, **names: object) -> None:
        """Have ``names`` in the namespace, but not among what the user made."""
        self._provided = names
        self.user_ns.update(names)
        self.user_ns_hidden.update(names)

    async def run_code(self, *args: Any, **kwargs: Any) -> Any:
        """Run a statement of a cell, unless the cell was interrupted before its first one."""
        self.begin()
        return await super().run_code(*args, **kwargs)

    def _get_exc_info(self, exc_tuple: Any = None) -> Any:
        kind, exc, trace = super()._get_exc_info(exc_tuple)
        return kind, exc, without_handler(trace)

    def init_display_formatter(self) -> None:
        """Have figures say what they show."""
        self.display_formatter = NotingFormatter(parent=self)
        cast("list[Any]", self.configurables).append(self.display_formatter)

    def init_user_ns(self) -> None:
        """Make the namespace anew."""
        super().init_user_ns()
        self.user_ns.update(getattr(self, "_provided", {}))

    def init_magics(self) -> None:
        """Have IPython's magics, but one for ``%pip`` that runs nothing."""
        super().init_magics()

        def pip(line: str) -> None:
            """Say whether packages are there that the service has installed."""
            self.system(f"pip {line}")

        cast("Any", self).register_magic_function(pip, "line", "pip")

    def system(self, cmd: str) -> None:
        """Run a shell command; lines that ask pip for an installation are answered here."""
        asked = pip_lines.split_pip_line(cmd)
        if asked is None:
            super().system(cmd)
            return
        arguments, rest = asked
        sys.stdout.write(f"{pip_lines.report(arguments)}\n")
        if rest:
            super().system(rest)


class ThreadbookKernel(IPythonKernel):
    """An IPython kernel without sockets until it is attached: it is built before the fork."""

    implementation = "threadbook"
    shell_class = ThreadbookShell
    msg_types = [*IPythonKernel.msg_types, "variables_request"]  # noqa: RUF012 (as ipykernel has it)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limiter = DisplayLimiter()
        self.interrupts = Interrupts(within=IPythonKernel.do_execute.__code__, around=ThreadbookKernel.do_execute.__code__)
        cast("ThreadbookShell", self.shell).begin = self.interrupts.begin
        self.shell_channel_thread = NoShellChannelThread()
        self._libc = ctypes.CDLL(None)
        self.spool: Any = None
        self.on_cell_over: Callable[[], object] = lambda: None
        self._cell_msg_id = ""

    @property
    def _supports_kernel_subshells(self) -> bool:
        return False

    def set_parent(self, ident: Any, parent: Any, channel: str = "shell") -> None:
        """Take the request that is handled now; with a new cell the spool and the limits begin anew."""
        header = parent.get("header") or {}
        if channel == "shell" and header.get("msg_type") == "execute_request" and header["msg_id"] != self._cell_msg_id:
            self._cell_msg_id = header["msg_id"]
            self.interrupts.accept()
            self.limiter.begin()
            if self.spool is not None:
                self.spool.clear()
        super().set_parent(ident, parent, channel)

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Run a cell, and tell the supervisor when it is over."""
        try:
            await super().execute_request(stream, ident, parent)
        finally:
            self.on_cell_over()

    async def variables_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Tell what the session holds."""
        shell = cast("Any", self.shell)
        content = {"status": "ok", **variables(dict(shell.user_ns), shell.user_ns_hidden)}
        cast("Session", self.session).send(stream, "variables_reply", content, parent, ident=ident)

    def pre_handler_hook(self) -> None:
        """Handle interrupts: code may have asked for something else."""
        self.saved_sigint_handler = self.interrupts.install()
        self.interrupts.serve(True)

    def post_handler_hook(self) -> None:
        """Handle interrupts as before."""
        self.interrupts.serve(False)
        super().post_handler_hook()

    @contextlib.contextmanager
    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> Iterator[None]:
        """Have interrupts end an asynchronous cell."""
        self.interrupts.task = future
        try:
            yield
        finally:
            self.interrupts.task = None

    async def do_execute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run code; an interrupt that ends it outside of the shell's care is a result, not a lost reply."""
        try:
            reply: dict[str, Any] = await super().do_execute(*args, **kwargs)
            if self.interrupts.cancelled and reply.get("ename") == "CancelledError":
                reply["ename"] = "KeyboardInterrupt"
        except (KeyboardInterrupt, asyncio.CancelledError) as exc:
            if not (self.interrupts.cancelled or isinstance(exc, KeyboardInterrupt)):
                raise
            reply = self._interrupted_reply()
        finally:
            self.interrupts.over()
        self._publish_held()
        return reply

    def _interrupted_reply(self) -> dict[str, Any]:
        content = {"ename": "KeyboardInterrupt", "evalue": "", "traceback": ["KeyboardInterrupt"]}
        self.send_response(self.iopub_socket, "error", dict(content))
        count = cast("Any", self.shell).execution_count - 1
        return {"status": "error", "execution_count": count, "user_expressions": {}, "payload": [], **content}

    def _publish_held(self) -> None:
        self._libc.fflush(None)
        flush_streams()
        cut, held = self.limiter.cut, self.limiter.finish()
        if cut:
            self.send_response(self.iopub_socket, "stream", {"name": "stderr", "text": f"… {cut:,} outputs cut …\n"})
        for message in held:
            Session.send(cast("Session", self.session), self.iopub_socket, message, ident=self._topic(message["msg_type"]))

    def _input_request(self, *args: Any, **kwargs: Any) -> str:
        try:
            return str(super()._input_request(*args, **kwargs))
        except EOFError:
            raise EOFError(NO_ANSWER) from None

    async def do_history(
        self,
        hist_access_type: str,
        output: bool,
        raw: bool,
        session: int | None = None,
        start: int | None = None,
        stop: int | None = None,
        n: int | None = None,
        pattern: str | None = None,
        unique: bool = False,
    ) -> dict[str, Any]:
        """Answer from this kernel's own memory; nothing is stored on disk."""
        manager = cast("Any", self.shell).history_manager
        lines = list(enumerate(manager.input_hist_raw if raw else manager.input_hist_parsed))[1:]
        if hist_access_type == "range":
            chosen = lines[max(start or 1, 1) - 1 : None if stop is None else stop - 1]
        elif hist_access_type == "search":
            chosen = [line for line in lines if fnmatch.fnmatchcase(line[1], pattern or "*")]
            if unique:
                chosen = list({source: (number, source) for number, source in chosen}.values())
        else:
            chosen = lines
        if hist_access_type != "range" and n is not None:
            chosen = chosen[-n:]
        history = [(0, number, (source, None) if output else source) for number, source in chosen]
        return {"status": "ok", "history": history}

    async def _at_shutdown(self) -> None:
        await super()._at_shutdown()
        self.iopub_thread.flush_queue()
