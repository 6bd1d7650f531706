"""A server of MongoDB's wire protocol for tests, in a process of its own."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

_START_PATIENCE_S = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mongo_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """Run the server as long as the context lasts; its URI."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-c",
        "from nx_27017.nx_27017 import main; main()",
        "--port",
        str(port),
        "--db",
        str(folder / "mongo.db"),
    ]
    files = ["--log-file", str(folder / "log"), "--pid-file", str(folder / "pid")]
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen([*command, *files], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
    try:
        _wait_for(port, server)
        yield f"mongodb://127.0.0.1:{port}/"
    finally:
        server.kill()
        server.wait()


@contextlib.asynccontextmanager
async def database_by(driver: str, uri: str) -> AsyncIterator[Any]:
    """A database of an application, opened by ``pymongo`` or by ``motor``."""
    if driver == "pymongo":
        async with AsyncMongoClient[dict[str, Any]](uri, tz_aware=True) as client:
            yield client["the-hosts"]
    else:
        from motor.motor_asyncio import AsyncIOMotorClient

        motor: Any = AsyncIOMotorClient(uri)
        try:
            yield motor["the-hosts"]
        finally:
            motor.close()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert server.poll() is None, "the server ended as soon as it was started"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.02)
