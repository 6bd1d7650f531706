"""A stand-in for the interpreter: sessions that do what a test tells them to."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from kernel_manager.config import Settings
from kernel_manager.errors import UnknownSessionError
from kernel_manager.execution.events import CellFinished, CellStarted, Event, OutputAdded
from kernel_manager.execution.result import ExecutionResult, Output
from kernel_manager.packages.desk import PackageDesk
from kernel_manager.packages.user_packages import UserPackages
from kernel_manager.sessions.history import Cell, SessionHistory
from kernel_manager.sessions.session import Completion, SessionInfo
from threadbook import app

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

#: The environment that packages are installed for.
GENERATION = "g-20260101T000000-abcdef"

State = Literal["starting", "idle", "busy", "dead"]
#: What a cell does: something to announce, or something to do or to wait for.
Step = Event | Callable[[], Awaitable[object] | None]


def stream(text: str, name: str = "stdout") -> Output:
    return {"output_type": "stream", "name": name, "text": text}


def display(data: dict[str, Any]) -> Output:
    return {"output_type": "display_data", "data": data, "metadata": {}}


def value(data: dict[str, Any] | str, count: int = 1) -> Output:
    bundle = {"text/plain": data} if isinstance(data, str) else data
    return {"output_type": "execute_result", "data": bundle, "metadata": {}, "execution_count": count}


def error(ename: str = "ValueError", evalue: str = "no", traceback: Sequence[str] = ("Traceback", "ValueError: no")) -> Output:
    return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": list(traceback)}


def cell_of(outputs: Iterable[Output] = (), **result: Any) -> list[Step]:
    """The steps of a cell that has these outputs and that result, ``ok`` unless told otherwise."""
    listed = list(outputs)
    finished = ExecutionResult(**{"status": "ok", "execution_count": 1, "outputs": listed, **result})
    return [CellStarted(1), *(OutputAdded(index, output) for index, output in enumerate(listed)), CellFinished(finished)]


@dataclass
class FakeSession:
    """Each cell that is run takes the next of ``cells``; without one it does nothing and is ok."""

    folder: Path
    user_id: str = "local"
    session_id: str = "default"
    cells: list[list[Step]] = field(default_factory=list)
    history: SessionHistory = field(default_factory=SessionHistory)
    state: State = "idle"
    has_kernel: bool = True
    completeness: Callable[[str], str] = lambda code: "complete"
    ran: list[tuple[str, float | None, list[Path]]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    was_interrupted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    async def run(
        self, code: str, *, timeout: float | None = None, files: Sequence[Path] = (), cell_id: str | None = None
    ) -> AsyncGenerator[Event]:
        self.ran.append((code, timeout, list(files)))
        try:
            for step in self.cells.pop(0) if self.cells else cell_of():
                if not callable(step):
                    yield step
                elif (waiting := step()) is not None:
                    await waiting
        except BaseException:
            self.done.append("closed")
            raise

    async def interrupt(self) -> None:
        self.done.append("interrupt")
        self.was_interrupted.set()

    async def restart(self) -> None:
        self.done.append("restart")

    async def stop(self) -> None:
        self.done.append("stop")

    async def warm_up(self) -> None:
        self.done.append("warm_up")

    async def complete(self, code: str, cursor: int) -> Completion:
        return Completion(["print", "property"], 0, cursor)

    async def is_complete(self, code: str) -> str:
        return self.completeness(code)

    async def info(self) -> SessionInfo:
        pid = 4711 if self.has_kernel else None
        state: State = self.state if self.has_kernel else "dead"
        return SessionInfo(
            self.session_id, self.user_id, state, pid, "/run/kernel.json", None, "2026-01-31T09:30:00.000Z", 3, str(self.folder)
        )

    def read_history(self) -> SessionHistory:
        return self.history

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[Path]:
        yield self.folder / "connection.json"


@dataclass
class FakeInterpreter:
    """Knows the sessions that it was given; others are made in its folder."""

    folder: Path
    known: list[FakeSession] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings.load)
    stopped: bool = False
    desk: PackageDesk | None = None

    async def session(self, user_id: str, session_id: str = "default", *, create: bool = True) -> FakeSession:
        for session in self.known:
            if (session.user_id, session.session_id) == (user_id, session_id):
                return session
        if not create:
            raise UnknownSessionError(f"no session {session_id!r}; there are: {[session.session_id for session in self.known]}")
        self.known.append(FakeSession(self.folder, user_id, session_id))
        return self.known[-1]

    async def sessions(self) -> list[SessionInfo]:
        return [await session.info() for session in self.known]

    async def status(self) -> dict[str, Any]:
        return {"data_dir": "/data", "environment": {"python": None, "fresh": False}, "kernels": 2}

    async def prepare(self) -> None:
        """There is an environment."""

    async def user_packages(self, user_id: str) -> UserPackages:
        assert self.desk is not None
        return UserPackages(self.desk, user_id, GENERATION)

    async def stop_all(self) -> int:
        self.stopped = True
        return len(self.known)

    def serve(self, monkeypatch: pytest.MonkeyPatch) -> FakeInterpreter:
        """Be what every command opens."""

        @contextlib.asynccontextmanager
        async def open_fake() -> AsyncIterator[FakeInterpreter]:
            yield self

        monkeypatch.setattr(app, "open_interpreter", open_fake)
        return self


class FakeStream(io.StringIO):
    """A text stream that may say that it is a terminal, and that may break."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self.terminal = terminal
        self.broken: OSError | None = None

    def isatty(self) -> bool:
        # A closed stream cannot say.
        return super().isatty() or self.terminal

    def write(self, text: str) -> int:
        if self.broken is not None:
            raise self.broken
        return super().write(text)


def history_of(*codes: str, session_id: str = "default", kernel_id: str = "k") -> SessionHistory:
    """A history in which these cells ran well."""
    cells = [
        Cell(f"c{number}", code, "m", kernel_id, "run", NOW, NOW, "ok", number, [stream(f"{number}\n")])
        for number, code in enumerate(codes, 1)
    ]
    return SessionHistory(session_id, "local", NOW, [*cells], cells, last_kernel_id=kernel_id)
