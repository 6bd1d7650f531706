from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

from kernel_manager.kernelside.spool import Spool, read_spool
from kernel_manager.kernelside.streams import SpoolingIOPubThread


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def publisher(tmp_path: Path, context: zmq.Context[Any]) -> Iterator[SpoolingIOPubThread]:
    socket = context.socket(zmq.XPUB)
    socket.bind(f"ipc://{tmp_path}/p")
    thread = SpoolingIOPubThread(socket, Session(key=b"k"), Spool(str(tmp_path / "spool")), f"ipc://{tmp_path}/c")
    thread.start()
    yield thread
    thread.stop()
    thread.close()


def test_a_subscription_that_a_send_hides_is_welcomed_all_the_same(
    publisher: SpoolingIOPubThread, context: zmq.Context[Any], tmp_path: Path
) -> None:
    hidden = threading.Event()

    def take_the_notice() -> None:
        while not publisher.socket.get(zmq.EVENTS) & zmq.POLLIN:
            hidden.wait(0.001)
        hidden.set()

    publisher.schedule(take_the_notice)
    with context.socket(zmq.SUB) as client:
        client.connect(f"ipc://{tmp_path}/p")
        client.subscribe(b"")
        assert hidden.wait(10)
        publisher.send_multipart([b"topic", b"text"])
        received = b""
        while b"iopub_welcome" not in received:
            assert client.poll(5_000), "no welcome came"
            received = b"".join(client.recv_multipart())


def test_what_is_sent_is_in_the_spool_before_anybody_receives_it(publisher: SpoolingIOPubThread, tmp_path: Path) -> None:
    blocked = threading.Event()
    publisher.schedule(lambda: blocked.wait(10))
    publisher.send_multipart([b"topic", b"text"])
    assert read_spool(tmp_path / "spool") == [[b"topic", b"text"]]
    blocked.set()
