"""The client side of a kernel's channels: what is sent, and who gets what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.session import Session

from kernel_manager.errors import ClosedError, KernelStartError
from kernel_manager.kernelside import protocol

logger = logging.getLogger(__name__)

Message = dict[str, Any]
Listener = Callable[[str, Message], None]

#: One message of a kernel may not be larger; libzmq drops the connection that sends one, and connects again.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
RECEIVE_QUEUE = 2_000
WELCOME_TIMEOUT = 10.0


def make_context() -> zmq.asyncio.Context:
    """Return the context whose sockets are bounded; one is enough for a process."""
    context = zmq.asyncio.Context()
    context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    context.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE)
    context.setsockopt(zmq.LINGER, 0)
    context.setsockopt(zmq.RECONNECT_IVL, 20)
    return context


class Channels:
    """A connection to one kernel: shell, IOPub, stdin and control.

    Messages go to the listener of the request that they belong to (by the ``msg_id`` of their parent); with
    ``on_other`` set, those of other clients' requests go there.
    """

    def __init__(self, connection: dict[str, Any], context: zmq.asyncio.Context) -> None:
        # no memory of signatures: the spool's copies are read with the same session, and told apart by their ids
        self.session = Session(digest_history_size=0)
        self._client = AsyncKernelClient(context=context, session=self.session)
        self._client.load_connection_info(connection)
        self.on_other: Listener | None = None
        self._listeners: dict[str, Listener] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sockets: dict[str, zmq.asyncio.Socket] = {}

    async def open(self) -> None:
        """Connect and wait until IOPub messages are sure to arrive."""
        identity = self.session.bsession
        make = {
            "iopub": self._client.connect_iopub,
            "shell": self._client.connect_shell,
            "stdin": self._client.connect_stdin,
            "control": self._client.connect_control,
        }
        for name, connect in make.items():
            self._sockets[name] = connect() if name == "iopub" else connect(identity=identity)
        for name in ("iopub", "shell", "stdin", "control"):
            self._tasks.append(asyncio.create_task(self._read(name, self._sockets[name]), name=f"kernel {name}"))
        try:
            await asyncio.wait_for(asyncio.shield(self._welcome), WELCOME_TIMEOUT)
        except TimeoutError:
            await self.aclose()
            raise KernelStartError("the kernel does not answer on its IOPub channel; restart the session") from None

    async def aclose(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        for socket in self._sockets.values():
            socket.close(linger=0)
        self._sockets.clear()

    def prepare(self, msg_type: str, content: Message) -> Message:
        """Return a request that :meth:`post` sends later; its id is ``["header"]["msg_id"]``."""
        message: Message = self.session.msg(msg_type, content)
        return message

    def post(self, channel: str, message: Message, listener: Listener | None = None) -> None:
        """Send a prepared request; messages about it go to ``listener`` until :meth:`forget`."""
        socket = self._sockets.get(channel)
        if socket is None:
            raise ClosedError("the connection to the kernel is closed")
        if listener is not None:
            self._listeners[message["header"]["msg_id"]] = listener
        # below the high-water mark zmq.asyncio sends at once: there is nothing to wait for
        self.session.send(socket, message)  # type: ignore[arg-type]

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

    async def request(self, channel: str, msg_type: str, content: Message, timeout: float) -> Message:
        """Send a request and return its reply's content; raises TimeoutError."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def take(source: str, message: Message) -> None:
            if source == channel and not future.done():
                future.set_result(message["content"])

        msg_id = self.send(channel, msg_type, content, take)
        try:
            return await asyncio.wait_for(future, timeout)
        finally:
            self.forget(msg_id)

    def parse(self, frames: list[bytes]) -> Message | None:
        """Return the message in ``frames`` (from a socket or the spool), or None if it is not a signed one."""
        try:
            _, parts = self.session.feed_identities(frames)
            message: Message = self.session.deserialize(parts, content=True)
        except Exception as exc:  # noqa: BLE001  (whatever a hostile kernel sends must not end the reader)
            logger.warning("dropped a message that a kernel sent: %s", str(exc)[:200])
            return None
        return message

    def answer_input(self, value: str | None, request: Message) -> None:
        """Reply to an ``input_request``; None is the end of input."""
        content = {"value": protocol.END_OF_INPUT if value is None else value}
        self.post("stdin", self.session.msg("input_reply", content, parent=request))

    async def _read(self, channel: str, socket: zmq.asyncio.Socket) -> None:
        while True:
            frames = await socket.recv_multipart()
            message = self.parse(frames)
            if message is not None:
                self._dispatch(channel, message)

    def _dispatch(self, channel: str, message: Message) -> None:
        if message["msg_type"] == "iopub_welcome" and not self._welcome.done():
            self._welcome.set_result(None)
        parent = message.get("parent_header") or {}
        listener = self._listeners.get(parent.get("msg_id", ""), self.on_other)
        if listener is not None:
            listener(channel, message)
