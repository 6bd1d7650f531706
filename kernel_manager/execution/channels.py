"""The client side of a kernel's channels: what is sent, and who gets what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, cast

import zmq
import zmq.asyncio
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.session import Session

from kernel_manager.errors import ClosedError, KernelStartError, ServiceError
from kernel_manager.execution.allowance import Allowance
from kernel_manager.kernelside import protocol

logger = logging.getLogger(__name__)

Message = dict[str, Any]
Listener = Callable[[str, Message], None]

#: One message of a kernel may not be larger; libzmq gives up the connection that brings one.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
#: Messages of one channel that wait here to be read. Few, as each may be that large; more wait where they come from.
RECEIVE_QUEUE = 16
MAX_SOCKETS = 60_000
#: How often is looked whether a lost connection's last messages were all read, in seconds.
DRAIN_STEP = 0.005
#: Messages of one channel that are handled in one go, and seconds that they may take together.
FAIR_SHARE = 20
FAIR_SHARE_S = 0.005
#: Bytes of a message that is heard even of a kernel that has used up its allowance: a status, a reply, a question.
SMALL_MESSAGE = 16 * 1024
#: Bytes of a header; in a content, values, and lists and dicts: three bytes of JSON become an object of a hundred.
MAX_HEADER_BYTES = 64 * 1024
MAX_VALUES = 2_000_000
MAX_CONTAINERS = 250_000
#: Dropped messages that the log names, of one connection.
MAX_LOGGED = 10
LEFT_OUT = "… outputs that kept the service too busy were left out …\n"
#: Characters of a message's type and ids.
MAX_NAME = 200
WELCOME_TIMEOUT = 10.0
#: The channels on which a kernel sends what may be large.
_MENDED = ("iopub", "shell")


def make_context() -> zmq.asyncio.Context:
    """Return the context whose sockets are bounded; one is enough for a process."""
    context = zmq.asyncio.Context()
    # libzmq's own limit is that of about 85 sessions
    context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
    context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    context.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE)
    context.setsockopt(zmq.LINGER, 0)
    context.setsockopt(zmq.RECONNECT_IVL, 20)
    return context


class Channels:
    """A connection to one kernel: shell, IOPub, stdin and control.

    Messages go to the listener of the request that they belong to (by the ``msg_id`` of their parent); with
    ``on_other`` set, those of other clients' requests go there. A connection that is lost is made again; as IOPub has
    no memory, every listener then gets an ``iopub_welcome``: what was published before it may have been missed.
    """

    def __init__(self, connection: dict[str, Any], context: zmq.asyncio.Context, allowance: Allowance | None = None) -> None:
        # no memory of signatures: the spool's copies are read with the same session, and told apart by their ids
        self.session = Session(digest_history_size=0)
        self._client = AsyncKernelClient(context=context, session=self.session)
        self._client.load_connection_info(cast("KernelConnectionInfo", connection))
        self.on_other: Listener | None = None
        self._listeners: dict[str, Listener] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sockets: dict[str, zmq.asyncio.Socket] = {}
        self._monitors: list[zmq.asyncio.Socket] = []
        self._allowance = allowance or Allowance()
        self._dropped = 0
        self._told = False
        self._late_welcome: asyncio.TimerHandle | None = None

    async def open(self, patience: float = WELCOME_TIMEOUT) -> None:
        """Connect and wait until IOPub messages are sure to arrive; raises KernelStartError after ``patience`` seconds."""
        identity = self.session.bsession
        make = {
            "iopub": self._client.connect_iopub,
            "shell": self._client.connect_shell,
            "stdin": self._client.connect_stdin,
            "control": self._client.connect_control,
        }
        for name, connect in make.items():
            connected = connect() if name == "iopub" else connect(identity=identity)
            connected.linger = 0  # a connection that is gone would hold up the end of the context for a second
            self._sockets[name] = cast("zmq.asyncio.Socket", connected)
        for name, socket in self._sockets.items():
            self._tasks.append(asyncio.create_task(self._read(name, socket), name=f"kernel {name}"))
        for name in _MENDED:
            monitor = self._sockets[name].get_monitor_socket(zmq.EVENT_DISCONNECTED)
            self._monitors.append(monitor)
            mending = self._mend(name, self._sockets[name], monitor)
            self._tasks.append(asyncio.create_task(mending, name=f"kernel {name} connection"))
        try:
            await asyncio.wait_for(asyncio.shield(self._welcome), patience)
        except TimeoutError:
            await self.aclose()
            raise KernelStartError("the kernel does not answer on its IOPub channel; restart the session") from None

    async def aclose(self) -> None:
        """Disconnect."""
        if self._late_welcome is not None:
            self._late_welcome.cancel()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        for name in _MENDED:
            if name in self._sockets:
                self._sockets[name].disable_monitor()
        for socket in (*self._monitors, *self._sockets.values()):
            socket.close(linger=0)
        self._monitors.clear()
        self._sockets.clear()

    def prepare(self, msg_type: str, content: Message) -> Message:
        """Return a request that :meth:`post` sends later; its id is ``["header"]["msg_id"]``."""
        message: Message = self.session.msg(msg_type, content)
        return message

    def post(self, channel: str, message: Message, listener: Listener | None = None) -> None:
        """Send a prepared request; messages about it go to ``listener`` until :meth:`forget`.

        Raises ClosedError after :meth:`aclose`, and ServiceError if the kernel takes nothing any more.
        """
        socket = self._sockets.get(channel)
        if socket is None:
            raise ClosedError("the connection to the kernel is closed")
        _send_now(socket, self.session.serialize(message))
        if listener is not None:
            self._told = False
            self._listeners[message["header"]["msg_id"]] = listener

    def send(self, channel: str, msg_type: str, content: Message, listener: Listener | None = None) -> str:
        """Prepare and post a request; return its ``msg_id``."""
        message = self.prepare(msg_type, content)
        self.post(channel, message, listener)
        return str(message["header"]["msg_id"])

    def listen(self, msg_id: str, listener: Listener) -> None:
        """Give the messages about a request of somebody else to ``listener``."""
        self._listeners[msg_id] = listener

    def forget(self, msg_id: str) -> None:
        """Stop listening for messages about a request."""
        self._listeners.pop(msg_id, None)

    async def request(self, channel: str, msg_type: str, content: Message, patience: float) -> Message:
        """Send a request and return its reply's content; raises TimeoutError after ``patience`` seconds."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def take(source: str, message: Message) -> None:
            if source == channel and not future.done():
                future.set_result(message["content"])

        msg_id = self.send(channel, msg_type, content, take)
        try:
            return await asyncio.wait_for(future, patience)
        finally:
            self.forget(msg_id)

    def parse(self, frames: list[bytes]) -> Message | None:
        """Return the message in ``frames`` (from a socket or the spool), or None if it is not a signed one.

        Its header, parent header and content are dicts, and its type and ids short strings. A large one of a kernel that has
        used up its allowance is not looked at.
        """
        if self._allowance.is_spent and sum(map(len, frames)) > SMALL_MESSAGE:
            self._leave_out()
            return None
        try:
            with self._allowance.spending():
                _, parts = self.session.feed_identities(frames)
                _check_weight(cast("list[bytes]", parts))
                message: Message = self.session.deserialize(parts, content=True)
        except Exception as exc:  # noqa: BLE001  (whatever a hostile kernel sends must not end the reader)
            self._log_dropped(str(exc))
            return None
        if not _is_sound(message):
            self._log_dropped("it is malformed")
            return None
        return message

    def _log_dropped(self, reason: str) -> None:
        """Name the first ones: a kernel can send more in a second than a disk should hold."""
        self._dropped += 1
        if self._dropped <= MAX_LOGGED:
            more = "; further ones of this connection are not named" if self._dropped == MAX_LOGGED else ""
            logger.warning("dropped a message that a kernel sent: %s%s", reason[:200], more)

    def has_waiting(self, channel: str) -> bool:
        """Whether messages of ``channel`` have arrived that are not yet with their listeners."""
        socket = self._sockets.get(channel)
        return socket is not None and bool(int(socket.get(zmq.EVENTS)) & zmq.POLLIN)

    def answer_input(self, value: str | None, request: Message | None = None) -> None:
        """Reply to an ``input_request``; None is the end of input. A kernel that does not wait drops the reply."""
        content = {"value": protocol.END_OF_INPUT if value is None else value}
        self.post("stdin", self.session.msg("input_reply", content, parent=request))

    async def _read(self, channel: str, socket: zmq.asyncio.Socket) -> None:
        handled, since = 0, 0.0
        while True:
            frames = await socket.recv_multipart()
            since = since or time.monotonic()
            if (message := self.parse(frames)) is not None:
                with self._allowance.spending():
                    self._dispatch(channel, message)
            handled += 1
            if handled >= FAIR_SHARE or time.monotonic() - since >= FAIR_SHARE_S:
                # receiving what is already there does not let anybody else run
                await asyncio.sleep(0)
                handled, since = 0, 0.0

    def _leave_out(self) -> None:
        """Say so, once a cell: whose message it was nobody looks."""
        if self._told:
            return
        self._told = True
        note = self.session.msg("stream", {"name": "stderr", "text": LEFT_OUT})
        for listener in list(self._listeners.values()):
            listener("iopub", note)

    async def _mend(self, channel: str, socket: zmq.asyncio.Socket, monitor: zmq.asyncio.Socket) -> None:
        """Connect again whenever the connection is lost: libzmq does so itself, but not after a message that was too large."""
        while True:
            _, place = await monitor.recv_multipart()
            endpoint = place.decode(errors="surrogateescape")
            while self.has_waiting(channel):  # noqa: ASYNC110  (nothing tells when a socket was read to its end)
                await asyncio.sleep(DRAIN_STEP)
            with contextlib.suppress(zmq.ZMQError):
                socket.disconnect(endpoint)
            socket.connect(endpoint)

    def _dispatch(self, channel: str, message: Message) -> None:
        if message["msg_type"] == "iopub_welcome":
            self._on_welcome(channel, message)
            return
        listener = self._listeners.get(message["parent_header"].get("msg_id", ""), self.on_other)
        if listener is not None:
            listener(channel, message)

    def _on_welcome(self, channel: str, message: Message) -> None:
        if not self._welcome.done():
            self._welcome.set_result(None)
            return
        if not self._allowance.is_spent:
            self._pass_on_welcome(channel, message)
        elif self._late_welcome is None:  # to look for what was missed takes long, and who has the key can ask for it
            loop = asyncio.get_running_loop()
            self._late_welcome = loop.call_later(self._allowance.back_in, self._pass_on_welcome, channel, message)

    def _pass_on_welcome(self, channel: str, message: Message) -> None:
        self._late_welcome = None
        for listener in list(self._listeners.values()):
            listener(channel, message)


def _send_now(socket: zmq.asyncio.Socket, frames: list[bytes]) -> None:
    """Send without ever waiting: the whole service would wait."""
    sending = socket.send_multipart(frames, flags=zmq.DONTWAIT)
    try:
        # with this flag it has been tried when the call returns
        cast("asyncio.Future[object]", sending).result()
    except zmq.Again:
        raise ServiceError("the kernel takes no requests any more; restart the session") from None


def _check_weight(parts: list[bytes]) -> None:
    """Raise ValueError for a message that would take too much to read; ``parts`` begin with its signature."""
    if any(len(part) > MAX_HEADER_BYTES for part in parts[1:4]):
        raise ValueError("its header is too large")
    content = parts[4] if len(parts) > 4 else b""
    if content.count(b",") > MAX_VALUES or content.count(b"[") + content.count(b"{") > MAX_CONTAINERS:
        raise ValueError("its content has too many values")


def _is_sound(message: Message) -> bool:
    header, parent = message["header"], message["parent_header"]
    if not all(isinstance(part, dict) for part in (header, parent, message["content"])):
        return False
    names = (header.get("msg_id"), header.get("msg_type"), parent.get("msg_id", ""))
    return all(isinstance(name, str) and len(name) <= MAX_NAME for name in names)
