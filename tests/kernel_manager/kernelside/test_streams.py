from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

from kernel_manager.kernelside.shared_memory import map_shared
from kernel_manager.kernelside.spool import SPOOL_SIZE, Spool, read_spool
from kernel_manager.kernelside.streams import SpoolingIOPubThread


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def idle_publisher(tmp_path: Path, context: zmq.Context[Any]) -> Iterator[SpoolingIOPubThread]:
    """A publisher whose thread does not run: nothing but a send looks at its socket."""
    socket = context.socket(zmq.XPUB)
    socket.bind(f"ipc://{tmp_path}/p")
    publisher = SpoolingIOPubThread(
        socket, Session(key=b"k"), Spool(map_shared(str(tmp_path / "spool"), SPOOL_SIZE)), f"ipc://{tmp_path}/c"
    )
    yield publisher
    publisher.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def publisher(idle_publisher: SpoolingIOPubThread) -> Iterator[SpoolingIOPubThread]:
    idle_publisher.start()  # type: ignore[no-untyped-call]
    yield idle_publisher
    idle_publisher.stop()  # type: ignore[no-untyped-call]


def test_a_send_looks_for_subscriptions_whose_notice_it_may_have_taken(
    idle_publisher: SpoolingIOPubThread, context: zmq.Context[Any], tmp_path: Path
) -> None:
    with context.socket(zmq.SUB) as client:
        client.connect(f"ipc://{tmp_path}/p")
        client.subscribe(b"")
        assert idle_publisher.socket.poll(10_000, zmq.POLLIN), "no subscription came"
        idle_publisher.send_multipart([b"topic", b"text"])
        received = b""
        while b"iopub_welcome" not in received:
            assert client.poll(5_000), "no welcome came"
            received = b"".join(client.recv_multipart())


def test_what_is_sent_is_in_the_spool_before_anybody_receives_it(publisher: SpoolingIOPubThread, tmp_path: Path) -> None:
    blocked = threading.Event()
    publisher.schedule(lambda: blocked.wait(10))  # type: ignore[no-untyped-call]
    publisher.send_multipart([b"topic", b"text"])
    assert read_spool(tmp_path / "spool") == [[b"topic", b"text"]]
    blocked.set()
