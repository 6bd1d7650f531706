"""A kernel, its channels and the time, all of them played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import zmq.asyncio

from kernel_manager.execution.channels import Channels, Listener, Message
from kernel_manager.kernelside import spool
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel
from kernel_manager.provisioning.runtime import KernelFolder

CONNECTION = {"transport": "ipc", "ip": "/nowhere", "key": "secret", "signature_scheme": "hmac-sha256"}
CONNECTION |= dict.fromkeys(("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"), 1)  # type: ignore[arg-type]


class Time:
    """The running loop's time; it stands still until the test moves it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 1_000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self._now)

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and whatever falls due happen."""
        self._now += seconds
        await settle()


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


class ScriptedKernel(LiveKernel):
    """Notes what is asked of it in ``asked``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(KernelFolder(folder))
        self.asked: list[tuple[Any, ...]] = []
        #: What the supervisor has said and nobody has heard yet.
        self.unheard: list[Callable[[], None]] = []
        self._set_ready()

    def arm(self, seconds: float, grace: float) -> None:
        self.asked.append(("arm", seconds, grace))

    def disarm(self) -> None:
        self.asked.append(("disarm",))

    def send_signal(self, number: int = 2) -> None:
        self.asked.append(("signal", int(number)))

    def catch_up(self) -> None:
        while self.unheard:
            self.unheard.pop(0)()

    def kill(self, reason: str) -> None:
        self.asked.append(("kill", reason))

    def hit_deadline(self) -> None:
        """The supervisor says that the time is up."""
        if self.on_deadline is not None:
            self.on_deadline()

    def hit_limit(self) -> None:
        """The supervisor says that the working folder is full."""
        if self.on_limit is not None:
            self.on_limit("workspace")

    def end(self, **report: Any) -> None:
        """The kernel ends."""
        self.exited.set_result(ExitReport(**report))


class ScriptedChannels(Channels):
    """Keeps what is sent in ``sent``; what comes in comes from the test."""

    def __init__(self) -> None:
        super().__init__(cast("dict[str, Any]", CONNECTION), zmq.asyncio.Context.instance())
        self._welcome.set_result(None)
        self.sent: list[tuple[str, Message]] = []
        self.waiting = 0
        self.times_looked = 0

    def post(self, channel: str, message: Message, listener: Listener | None = None) -> None:
        self.sent.append((channel, message))
        if listener is not None:
            self.listen(message["header"]["msg_id"], listener)

    def has_waiting(self, channel: str) -> bool:
        self.times_looked += 1
        self.waiting -= 1
        return self.waiting >= 0

    def message(self, msg_type: str, content: Message, parent: str, date: datetime | None = None) -> Message:
        """A message of the kernel about the request ``parent``, as it is after its parsing."""
        message = self.session.msg(msg_type, content, parent={"header": {"msg_id": parent}, "msg_id": parent})
        message["header"]["date"] = date or datetime.now(UTC)
        return dict(message)

    def deliver(self, channel: str, message: Message) -> None:
        """Let a message come in."""
        self._dispatch(channel, message)

    def frames(self, message: Message) -> list[bytes]:
        """A message as it lies in the spool."""
        return list(self.session.serialize(message))

    def write_spool(self, folder: KernelFolder, messages: list[Message]) -> None:
        """Have the kernel's spool hold these messages."""
        write_spool(folder.spool, [self.frames(message) for message in messages])


def write_spool(path: Path, messages: list[list[bytes]]) -> None:
    """Have a file look as a kernel's spool with these messages."""
    records = b"".join(map(spool.pack, messages))
    path.write_bytes(len(records).to_bytes(4, "little") + records)
