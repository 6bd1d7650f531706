"""Kernels forked from the zygote; it is started when there is none, and again when it has died."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kernel_manager.errors import KernelStartError, ServiceError
from kernel_manager.kernelside import protocol
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.launcher import KERNELSIDE, KernelRequest
from kernel_manager.provisioning.local_launcher import start_daemon
from kernel_manager.provisioning.packets import PacketClient, PacketClosedError
from kernel_manager.provisioning.runtime import ZYGOTE_SOCKETS

logger = logging.getLogger(__name__)

_LOG_LIMIT = 1_000_000


class ZygoteLauncher:
    """Asks the zygote of one environment generation and one version of our code."""

    def __init__(
        self, environment: KernelEnvironment, runtime: Path, data: Path, *, idle_timeout: float, demand: str = ""
    ) -> None:
        self.generation = environment.generation
        self._python = environment.python
        self._runtime = runtime
        self._data = data
        self._preload = ",".join(environment.preload)
        self._idle_timeout = idle_timeout
        self._demand = demand
        self._socket = runtime / f"z-{_version_digest(environment.generation, demand)}.sock"
        self._client: PacketClient | None = None
        self._warned = False
        self._connecting = asyncio.Lock()

    async def launch(self, request: KernelRequest) -> None:
        """See :class:`~kernel_manager.provisioning.launcher.Launcher`."""
        for attempt in (1, 2):
            try:
                client = await self._connected()
                reply = await client.ask("fork", **request.to_dict())
                self._warn(reply.get("missing", []))
                return
            except (PacketClosedError, ConnectionError) as exc:
                # it ended between two requests: idle for too long, killed or crashed
                if attempt == 2:
                    raise KernelStartError(f"the zygote does not stay up ({exc}); see {self._log}") from exc
            except ServiceError as exc:
                raise KernelStartError(f"the zygote refused to start a kernel: {exc}") from exc

    def _warn(self, missing: list[str]) -> None:
        if missing and not self._warned:
            self._warned = True
            logger.warning("kernels run without: %s; `threadbook doctor` says what to do", ", ".join(map(str, missing)))

    async def aclose(self) -> None:
        """Disconnect; the zygote stays as long as it is wanted."""
        if self._client is not None:
            self._client.close()

    async def status(self) -> dict[str, object]:
        """The zygote's pid and number of kernels; raises OSError when there is none."""
        client = PacketClient()
        await client.connect(self._socket)
        try:
            reply = await client.ask("status")
        finally:
            client.close()
        return {name: reply[name] for name in ("pid", "kernels", "draining", "sandbox", "protections")}

    @property
    def _log(self) -> Path:
        return self._runtime / "zygote.log"

    async def _connected(self) -> PacketClient:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect_or_start()
            return self._client

    async def _connect_or_start(self) -> PacketClient:
        client = PacketClient(on_close=self._forget)
        with suppress(OSError):
            await client.connect(self._socket)
            return client
        await self._start()
        await client.connect(self._socket)
        return client

    def _forget(self) -> None:
        self._client = None

    async def _start(self) -> None:
        """Start a zygote unless another process just did. It listens at once; requests wait until it has imported."""
        lock = await asyncio.to_thread(_take_lock, self._runtime / "zygote.lock")
        try:
            if not await self._is_there():
                await self._replace_socket_and_run()
                await drain_zygotes(self._runtime, keep=self._socket)
        finally:
            os.close(lock)

    async def _is_there(self) -> bool:
        client = PacketClient()
        try:
            await client.connect(self._socket)
        except OSError:
            return False
        client.close()
        return True

    async def _replace_socket_and_run(self) -> None:
        self._socket.unlink(missing_ok=True)
        _shorten(self._log)
        with _listening(self._socket) as fd:
            command = [
                *(str(self._python), "-I", str(KERNELSIDE), "zygote"),
                *("--runtime", str(self._runtime), "--data", str(self._data)),
                *("--preload", self._preload, "--idle-timeout", str(self._idle_timeout), "--fd", str(fd)),
                *("--demand", self._demand),
            ]
            status = await start_daemon(command, self._python, self._runtime, self._log, fd=fd, threads=False)
        if status:
            raise KernelStartError(f"the zygote did not start (status {status}); see {self._log}")


async def drain_zygotes(runtime: Path, keep: Path | None = None) -> int:
    """Ask every zygote but the one at ``keep`` to end when its last kernel has; return how many there were."""
    count = 0
    for path in sorted(runtime.glob(ZYGOTE_SOCKETS)):  # noqa: ASYNC240  (a handful of names in a tmpfs)
        if path == keep:
            continue
        client = PacketClient()
        try:
            await client.connect(path)
            await client.ask("drain")
            count += 1
        except (OSError, ServiceError):
            path.unlink(missing_ok=True)
        finally:
            client.close()
    return count


def _version_digest(generation: str, demand: str) -> str:
    """Of everything that a running zygote cannot change any more: the environment, the jail and our own code."""
    digest = hashlib.sha256(f"{protocol.PROTOCOL_VERSION} {generation} {demand}".encode())
    for path in sorted(KERNELSIDE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _shorten(log: Path) -> None:
    """Begin a new log when the old one has grown; what it says is of interest only while it is recent."""
    with suppress(OSError):
        if log.stat().st_size > _LOG_LIMIT:
            log.unlink()


def _take_lock(path: Path) -> int:
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


@contextmanager
def _listening(path: Path) -> Iterator[int]:
    """A listening socket to hand to the zygote; the caller's copy is closed at the end."""
    server = protocol.listening_socket(str(path))
    try:
        path.chmod(0o600)
        yield server.fileno()
    finally:
        server.close()
