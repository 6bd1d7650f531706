"""The connection to a kernel, with real sockets and a kernel's side that does what the test says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.asyncio
from jupyter_client.session import Session

from kernel_manager.errors import ClosedError, KernelStartError, ServiceError
from kernel_manager.execution import channels as channels_module
from kernel_manager.execution.allowance import BURST_S, Allowance
from kernel_manager.execution.channels import (
    FAIR_SHARE,
    LEFT_OUT,
    MAX_CONTAINERS,
    MAX_HEADER_BYTES,
    MAX_LOGGED,
    MAX_MESSAGE_BYTES,
    MAX_NAME,
    MAX_VALUES,
    RECEIVE_QUEUE,
    SMALL_MESSAGE,
    Channels,
    Message,
    make_context,
)
from kernel_manager.kernelside import spool
from tests.kernel_manager.execution.scripted import write_spool

PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}
PATIENCE = 10.0


class KernelSide:
    """The sockets of a kernel."""

    def __init__(self, folder: Path, context: zmq.asyncio.Context) -> None:
        self.connection = {
            **PORTS,
            "transport": "ipc",
            "ip": str(folder / "k"),
            "key": "secret",
            "signature_scheme": "hmac-sha256",
        }
        self.session = Session(key=b"secret")
        kinds = {"shell": zmq.ROUTER, "iopub": zmq.XPUB, "stdin": zmq.ROUTER, "control": zmq.ROUTER}
        self.sockets = {name: context.socket(kind) for name, kind in kinds.items()}
        for name, socket in self.sockets.items():
            socket.linger = 0
            socket.sndhwm = 0
            if name == "iopub":
                socket.xpub_verbose = True  # as a kernel's: else one that connects again before its end was seen goes unseen
            else:
                socket.router_handover = 1
            socket.bind(f"ipc://{folder / 'k'}-{PORTS[f'{name}_port']}")

    async def welcome(self) -> None:
        """Greet who subscribed."""
        await self.sockets["iopub"].recv_multipart()
        self.publish("iopub_welcome", {"subscription": ""})

    def publish(self, msg_type: str, content: Any, parent: str = "", header: Message | None = None) -> None:
        """Send on IOPub; ``header`` replaces parts of the header."""
        self._send("iopub", self.session.msg(msg_type, content), parent, header or {})

    def reply(self, channel: str, identity: bytes, msg_type: str, content: Any, parent: str = "") -> None:
        """Send to one client."""
        self._send(channel, self.session.msg(msg_type, content), parent, {}, [identity])

    def _send(self, channel: str, message: Any, parent: str, header: Message, identity: list[bytes] | None = None) -> None:
        message["header"].update(header)
        message["parent_header"] = {"msg_id": parent} if parent else {}
        self.send_raw(channel, self.session.serialize(message, ident=identity))

    def send_raw(self, channel: str, frames: list[bytes]) -> None:
        """Send frames as they are."""
        zmq.Socket.shadow(self.sockets[channel].underlying).send_multipart(frames)

    async def receive(self, channel: str) -> tuple[bytes, Message]:
        """The next request of a client: its identity and the message."""
        frames = await asyncio.wait_for(self.sockets[channel].recv_multipart(), PATIENCE)
        identities, parts = self.session.feed_identities(frames)
        return bytes(identities[0]), dict(self.session.deserialize(parts))

    def close(self) -> None:
        """Close the sockets."""
        for socket in self.sockets.values():
            socket.close()


class Heard:
    """Collects messages; their number can be waited for."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Message]] = []
        self._came = asyncio.Event()

    def __call__(self, channel: str, message: Message) -> None:
        self.messages.append((channel, message))
        self._came.set()

    @property
    def kinds(self) -> list[str]:
        """The messages' types."""
        return [message["msg_type"] for _, message in self.messages]

    async def count(self, number: int) -> None:
        """Wait until so many have come."""
        async with asyncio.timeout(PATIENCE):
            while len(self.messages) < number:
                self._came.clear()
                await self._came.wait()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="tb-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
async def context() -> AsyncIterator[zmq.asyncio.Context]:
    """The context that the service has."""
    context = make_context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
async def kernel(folder: Path) -> AsyncIterator[KernelSide]:
    """A kernel that listens."""
    context = zmq.asyncio.Context()
    side = KernelSide(folder, context)
    yield side
    side.close()
    context.term()


@pytest.fixture
async def channels(kernel: KernelSide, context: zmq.asyncio.Context) -> AsyncIterator[Channels]:
    """An open connection to it."""
    connection = Channels(kernel.connection, context)
    await asyncio.gather(connection.open(), kernel.welcome())
    yield connection
    await connection.aclose()


async def test_opening_waits_for_the_welcome(kernel: KernelSide, context: zmq.asyncio.Context) -> None:
    connection = Channels(kernel.connection, context)
    opening = asyncio.create_task(connection.open())
    await kernel.sockets["iopub"].recv_multipart()
    assert not opening.done()
    kernel.publish("iopub_welcome", {"subscription": ""})
    await asyncio.wait_for(opening, PATIENCE)
    await connection.aclose()


async def test_a_kernel_that_does_not_welcome_anybody_is_an_error(
    kernel: KernelSide, context: zmq.asyncio.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels_module, "WELCOME_TIMEOUT", 0.01)
    connection = Channels(kernel.connection, context)
    with pytest.raises(KernelStartError, match="does not answer on its IOPub channel"):
        await connection.open()
    with pytest.raises(ClosedError):
        connection.send("shell", "kernel_info_request", {})


async def test_messages_go_to_the_listener_of_their_request(channels: Channels, kernel: KernelSide) -> None:
    one, two, others = Heard(), Heard(), Heard()
    channels.on_other = others
    first = channels.send("shell", "execute_request", {"code": "1"}, one)
    second = channels.send("shell", "execute_request", {"code": "2"}, two)
    identity, _ = await kernel.receive("shell")
    kernel.publish("stream", {"name": "stdout", "text": "1"}, first)
    kernel.publish("stream", {"name": "stdout", "text": "2"}, second)
    kernel.publish("stream", {"name": "stdout", "text": "?"}, "somebody else's")
    kernel.reply("shell", identity, "execute_reply", {"status": "ok"}, first)
    kernel.reply("stdin", identity, "input_request", {"prompt": ""}, first)
    await one.count(3)
    await two.count(1)
    await others.count(1)
    assert sorted(channel for channel, _ in one.messages) == ["iopub", "shell", "stdin"]
    assert two.messages[0][1]["content"]["text"] == "2"
    assert others.messages[0][1]["content"]["text"] == "?"


async def test_nobody_hears_of_a_forgotten_request(channels: Channels, kernel: KernelSide) -> None:
    forgotten, heard = Heard(), Heard()
    channels.listen("a", forgotten)
    channels.listen("b", heard)
    channels.forget("a")
    channels.forget("never known")
    kernel.publish("stream", {}, "a")
    kernel.publish("stream", {}, "b")
    await heard.count(1)
    assert forgotten.messages == []


async def test_a_prepared_request_is_the_one_that_is_sent(channels: Channels, kernel: KernelSide) -> None:
    prepared = channels.prepare("execute_request", {"code": "1"})
    channels.post("shell", prepared)
    _, message = await kernel.receive("shell")
    assert message["header"]["msg_id"] == prepared["header"]["msg_id"]
    assert message["content"] == {"code": "1"}


async def test_a_request_returns_the_content_of_its_reply(channels: Channels, kernel: KernelSide) -> None:
    asking = asyncio.create_task(channels.request("control", "kernel_info_request", {}, PATIENCE))
    identity, message = await kernel.receive("control")
    kernel.publish("status", {"execution_state": "busy"}, message["header"]["msg_id"])
    kernel.reply("control", identity, "kernel_info_reply", {"status": "ok"}, message["header"]["msg_id"])
    assert await asking == {"status": "ok"}


async def test_a_request_without_a_reply_times_out_and_is_forgotten(channels: Channels, kernel: KernelSide) -> None:
    with pytest.raises(TimeoutError):
        await channels.request("shell", "complete_request", {}, 0.01)
    identity, message = await kernel.receive("shell")
    heard = Heard()
    channels.on_other = heard
    kernel.reply("shell", identity, "complete_reply", {}, message["header"]["msg_id"])
    await heard.count(1)


@pytest.mark.parametrize(("answer", "sent"), [("text", "text"), ("", ""), (None, "\x04")])
async def test_answers_to_questions(channels: Channels, kernel: KernelSide, answer: str | None, sent: str) -> None:
    heard = Heard()
    msg_id = channels.send("shell", "execute_request", {}, heard)
    identity, _ = await kernel.receive("shell")
    kernel.reply("stdin", identity, "input_request", {"prompt": "?"}, msg_id)
    await heard.count(1)
    channels.answer_input(answer, heard.messages[0][1])
    _, reply = await kernel.receive("stdin")
    assert (reply["msg_type"], reply["content"]) == ("input_reply", {"value": sent})
    assert reply["parent_header"]["msg_id"] == heard.messages[0][1]["header"]["msg_id"]


async def test_an_answer_to_a_question_that_somebody_else_got(channels: Channels, kernel: KernelSide) -> None:
    channels.answer_input(None)
    _, reply = await kernel.receive("stdin")
    assert reply["content"] == {"value": "\x04"}


# What a hostile kernel sends.


@pytest.mark.parametrize(
    "header",
    [{"msg_id": 5}, {"msg_id": ["x"]}, {"msg_id": "x" * (MAX_NAME + 1)}, {"msg_type": None}, {"msg_type": {}}],
    ids=["number", "list", "long", "no type", "odd type"],
)
async def test_messages_with_odd_headers_are_dropped(
    channels: Channels, kernel: KernelSide, header: Message, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    channels.listen("a", heard)
    kernel.publish("stream", {}, "a", header)
    kernel.publish("last", {}, "a")
    await heard.count(1)
    assert heard.kinds == ["last"]
    assert "it is malformed" in caplog.text


_HEAVY = {
    "values": [b"{}", b"{}", b"{}", b'{"a":[' + b"1," * (MAX_VALUES + 1) + b"1]}"],
    "containers": [b"{}", b"{}", b"{}", b'{"a":[' + b"[]," * MAX_CONTAINERS + b"1]}"],
    "header": [b'{"a":"' + b"x" * MAX_HEADER_BYTES + b'"}', b"{}", b"{}", b"{}"],
    "metadata": [b"{}", b"{}", b'{"a":"' + b"x" * MAX_HEADER_BYTES + b'"}', b"{}"],
}


@pytest.mark.parametrize("parts", _HEAVY.values(), ids=_HEAVY)
async def test_messages_that_take_too_much_to_read_are_not_read(
    channels: Channels, kernel: KernelSide, parts: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    channels.listen("a", heard)
    kernel.send_raw("iopub", [b"<IDS|MSG>", kernel.session.sign(parts), *parts])
    kernel.publish("last", {}, "a")
    await heard.count(1)
    assert heard.kinds == ["last"]
    assert "too large" in caplog.text or "too many values" in caplog.text


async def test_the_log_names_only_the_first_messages_that_were_dropped(
    channels: Channels, kernel: KernelSide, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    channels.listen("a", heard)
    for _ in range(5 * MAX_LOGGED):
        kernel.send_raw("iopub", [b"garbage"])
    kernel.publish("last", {}, "a")
    await heard.count(1)
    assert caplog.text.count("dropped a message") == MAX_LOGGED
    assert caplog.text.count("not named") == 1


class Passing:
    """A clock on which as much time passes between two looks as is wanted."""

    def __init__(self) -> None:
        self.step = 0.0
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self.step
        return self._now


async def test_a_kernel_that_used_up_its_allowance_is_heard_in_few_words_only(
    kernel: KernelSide, context: zmq.asyncio.Context
) -> None:
    clock, heard = Passing(), Heard()
    channels = Channels(kernel.connection, context, Allowance(clock))
    await asyncio.gather(channels.open(), kernel.welcome())
    channels.post("shell", channels.prepare("x", {}), heard)
    msg_id = (await kernel.receive("shell"))[1]["header"]["msg_id"]
    clock.step = BURST_S * 10
    kernel.publish("stream", {"text": "x"}, msg_id)
    await heard.count(1)
    clock.step = 0.0
    for _ in range(3):
        kernel.publish("stream", {"text": "x" * SMALL_MESSAGE}, msg_id)
    kernel.publish("iopub_welcome", {"subscription": ""})
    kernel.publish("status", {"execution_state": "idle"}, msg_id)
    await heard.count(3)
    assert heard.kinds == ["stream", "stream", "status"]
    assert heard.messages[1][1]["content"] == {"name": "stderr", "text": LEFT_OUT}
    await channels.aclose()


@pytest.mark.parametrize("content", [b"null", b"[]", b'"text"', b"5", b"NaN"])
async def test_messages_whose_content_is_no_object_are_dropped(channels: Channels, kernel: KernelSide, content: bytes) -> None:
    heard = Heard()
    channels.listen("a", heard)
    message = kernel.session.msg("stream", {})
    message["parent_header"] = {"msg_id": "a"}
    kernel.send_raw("iopub", kernel.session.serialize({**message, "content": content}))
    kernel.publish("last", {}, "a")
    await heard.count(1)
    assert heard.kinds == ["last"]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"<IDS|MSG>"],
        [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"],
        [b"<IDS|MSG>", b"00", b"{}", b"{}", b"{}", b"{}"],
        [b"no delimiter"] * 7,
    ],
    ids=["none", "empty", "delimiter", "unsigned", "badly signed", "no delimiter"],
)
def test_frames_that_are_no_signed_message_are_none(frames: list[bytes], caplog: pytest.LogCaptureFixture) -> None:
    async def parse() -> Message | None:
        context = make_context()
        try:
            connection = {**PORTS, "transport": "ipc", "ip": "/nowhere", "key": "secret", "signature_scheme": "hmac-sha256"}
            return Channels(connection, context).parse(frames)
        finally:
            context.destroy(linger=0)

    assert asyncio.run(parse()) is None
    assert "dropped a message that a kernel sent" in caplog.text


async def test_broken_json_and_deep_json_are_dropped(channels: Channels, kernel: KernelSide) -> None:
    heard = Heard()
    channels.listen("a", heard)
    for content in (b"{", b"\xff", b'{"x":' * 100_000, b"[" * 1_000_000):
        message = kernel.session.msg("stream", {})
        message["parent_header"] = {"msg_id": "a"}
        frames = kernel.session.serialize(message)
        signed = [*frames[2:5], content]
        kernel.send_raw("iopub", [b"<IDS|MSG>", kernel.session.sign(signed), *signed])
    kernel.publish("last", {}, "a")
    await heard.count(1)
    assert heard.kinds == ["last"]


async def test_a_message_that_is_too_large_costs_the_connection_which_is_made_again(
    channels: Channels, kernel: KernelSide
) -> None:
    heard = Heard()
    channels.listen("a", heard)
    kernel.publish("first", {}, "a")
    kernel.send_raw("iopub", [b"x" * (MAX_MESSAGE_BYTES + 1)])
    async with asyncio.timeout(PATIENCE):
        while await kernel.sockets["iopub"].recv_multipart() != [b"\x01"]:
            pass
    kernel.publish("iopub_welcome", {"subscription": ""})
    kernel.publish("last", {}, "a")
    await heard.count(3)
    assert heard.kinds == ["first", "iopub_welcome", "last"]


async def test_a_reply_that_is_too_large_does_not_end_the_channel(channels: Channels, kernel: KernelSide) -> None:
    channels.send("shell", "execute_request", {})
    identity, _ = await kernel.receive("shell")
    kernel.send_raw("shell", [identity, b"x" * (MAX_MESSAGE_BYTES + 1)])
    async with asyncio.timeout(PATIENCE):
        while True:
            asking = asyncio.create_task(channels.request("shell", "kernel_info_request", {}, 0.2))
            with contextlib.suppress(TimeoutError):
                # what is sent before the connection is made again is lost
                identity, message = await asyncio.wait_for(kernel.receive("shell"), 0.2)
                kernel.reply("shell", identity, "kernel_info_reply", {"status": "ok"}, message["header"]["msg_id"])
            with contextlib.suppress(TimeoutError, ServiceError):
                assert await asking == {"status": "ok"}
                break


async def test_sending_never_waits(kernel: KernelSide, context: zmq.asyncio.Context) -> None:
    context.setsockopt(zmq.SNDHWM, 10)
    connection = Channels(kernel.connection, context)
    await asyncio.gather(connection.open(), kernel.welcome())

    def flood() -> None:
        for _ in range(100_000):
            connection.send("shell", "execute_request", {"code": "x" * 10_000})

    with pytest.raises(ServiceError, match="restart the session"):
        flood()
    await connection.aclose()


async def test_a_repeated_message_is_read_again(channels: Channels, kernel: KernelSide, tmp_path: Path) -> None:
    heard = Heard()
    channels.listen("a", heard)
    message = kernel.session.msg("stream", {"name": "stdout", "text": "x"})
    message["parent_header"] = {"msg_id": "a"}
    frames = kernel.session.serialize(message)
    kernel.send_raw("iopub", frames)
    await heard.count(1)
    write_spool(tmp_path / "spool", [frames])
    ((read),) = spool.read_spool(tmp_path / "spool")
    parsed = channels.parse(read)
    assert parsed is not None
    assert parsed["header"]["msg_id"] == heard.messages[0][1]["header"]["msg_id"]


# Fairness and the end.


async def test_a_flood_lets_others_run(channels: Channels, kernel: KernelSide) -> None:
    heard = Heard()
    channels.listen("a", heard)
    for _ in range(50 * FAIR_SHARE):
        kernel.publish("stream", {"name": "stdout", "text": "x"}, "a")
    await heard.count(1)
    turns = 0
    async with asyncio.timeout(PATIENCE):
        while len(heard.messages) < 50 * FAIR_SHARE:
            turns += 1
            await asyncio.sleep(0)
    assert turns >= 10


async def test_it_is_known_whether_something_waits(channels: Channels, kernel: KernelSide) -> None:
    heard = Heard()
    channels.listen("a", heard)
    assert not channels.has_waiting("iopub")
    for _ in range(5 * FAIR_SHARE):
        kernel.publish("stream", {"name": "stdout", "text": "x"}, "a")
    # waits without letting the reader run
    assert zmq.Socket.shadow(channels._sockets["iopub"].underlying).poll(int(PATIENCE * 1000))
    assert channels.has_waiting("iopub")
    await heard.count(5 * FAIR_SHARE)
    await asyncio.sleep(0)
    assert not channels.has_waiting("iopub")
    assert not channels.has_waiting("no such channel")


async def test_nothing_can_be_sent_after_the_end(channels: Channels) -> None:
    await channels.aclose()
    await channels.aclose()
    with pytest.raises(ClosedError):
        channels.send("shell", "execute_request", {})
    assert not channels.has_waiting("iopub")


async def test_no_socket_lingers(channels: Channels) -> None:
    """One that does keeps the service's end waiting, once the kernel at its other side is gone."""
    assert [socket.linger for socket in channels._sockets.values()] == [0, 0, 0, 0]


async def test_the_key_is_not_logged(channels: Channels, kernel: KernelSide, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        kernel.send_raw("iopub", [b"<IDS|MSG>", b"00", b"{}", b"{}", b"{}", b"{}"])
        heard = Heard()
        channels.listen("a", heard)
        kernel.publish("last", {}, "a")
        await heard.count(1)
    assert "secret" not in caplog.text


def test_of_what_nobody_reads_only_a_little_waits_here(tmp_path: Path) -> None:
    """A kernel can send faster than its service reads: what it sends then stays where it is."""
    address, megabyte = f"ipc://{tmp_path}/s", bytes(1 << 20)
    with make_context() as bounded, zmq.Context() as kernel, bounded.socket(zmq.SUB) as receiver:
        receiving: zmq.Socket[bytes] = zmq.Socket.shadow(receiver.underlying)
        publisher = kernel.socket(zmq.XPUB)
        publisher.sndhwm = 0
        publisher.bind(address)
        receiving.connect(address)
        receiving.subscribe(b"")
        assert publisher.recv() == b"\1"  # it hears from now on
        for _ in range(10 * RECEIVE_QUEUE):
            publisher.send(megabyte)
        publisher.close(linger=1_000)  # and leaving the context waits until all has arrived, or that long
        kernel.term()
        waiting = 0
        while receiving.poll(0):
            receiving.recv()
            waiting += 1
    assert 0 < waiting <= 2 * RECEIVE_QUEUE
