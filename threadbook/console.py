"""``threadbook console``: cells from a person, one after the other."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from pathlib import Path
from typing import Protocol

from kernel_manager import Interpreter
from kernel_manager.errors import ThreadbookError, UsageError
from kernel_manager.sessions.history import SessionHistory
from kernel_manager.sessions.session import Session
from threadbook import app
from threadbook.arguments import installed_version
from threadbook.cell import GivenUpError, Manners, run_cell
from threadbook.colon_commands import carry_out, file_to_hand_in, write_notebook
from threadbook.completeness import is_whole
from threadbook.figures import FigureFolder
from threadbook.piped import LineReader, next_cell
from threadbook.printing import CellPrinter
from threadbook.questions import asker
from threadbook.run import existing_files
from threadbook.terminal import Terminal


async def console(options: argparse.Namespace) -> int:
    """Run the cells that the person types, or that stdin has, until there are no more."""
    files = existing_files(options.files)
    terminal = Terminal()
    async with app.open_interpreter() as interpreter:
        session = await interpreter.session(options.user, options.session)
        work = _Console(interpreter, session, terminal, files)
        if sys.stdin is None:
            raise UsageError("stdin is closed, so there is nothing to run; use a terminal, or pipe the code in")
        return await (work.by_hand() if sys.stdin.isatty() else work.from_pipe(sys.stdin.fileno()))


class Source(Protocol):
    """Where cells come from."""

    async def __call__(self) -> str | None:
        """Return the next cell, or None when there are no more."""


HELP = """\
:file PATH     hand a file to the session; load_file('NAME') opens it
:export PATH   write the session as a notebook
:restart       start over with a fresh kernel; the variables are gone
:help          this list
Ctrl-C interrupts a cell or clears the line, Tab completes, Alt-Enter runs at once, Ctrl-D leaves"""


class _Console:
    """One console on one session."""

    def __init__(self, interpreter: Interpreter, session: Session, terminal: Terminal, files: list[Path]) -> None:
        self._interpreter = interpreter
        self._session = session
        self._terminal = terminal
        self._files = files
        self._manners = Manners(asker(terminal), terminal.line, interpreter.settings.interrupt_grace)
        self._number = 1
        self._failed = False
        self._commands = {":export": self._export, ":file": self._file, ":help": self._help, ":restart": self._restart}

    async def by_hand(self) -> int:
        """Prompt for cells."""
        from threadbook.prompt import Prompt

        session = self._session
        self._terminal.line(f"Threadbook {installed_version()}, session {session.session_id} of {session.user_id}", "stdout")
        self._terminal.line(":help lists the commands, Ctrl-D leaves and the kernel stays", "stdout")
        prompt = Prompt(session, self._interpreter.settings.data_dir / "console_history", self._commands)
        await self._meet_kernel()

        async def typed() -> str | None:
            self._terminal.line("", "stdout")
            try:
                return await prompt.read(self._number)
            except KeyboardInterrupt:
                return ""
            except EOFError:
                return None

        await self._run_all(typed, numbered=True)
        self._say_goodbye()
        return app.OK

    async def from_pipe(self, descriptor: int) -> int:
        """Run what the descriptor has; status 1 if one of its cells failed."""
        lines = LineReader(descriptor)

        async def is_complete(text: str) -> str:
            status = await self._session.is_complete(text)
            return status if status != "unknown" else "complete" if is_whole(text) else "incomplete"

        await self._run_all(lambda: next_cell(lines, is_complete), numbered=False)
        return app.CODE_FAILED if self._failed else app.OK

    async def _run_all(self, source: Source, *, numbered: bool) -> None:
        figures = FigureFolder(self._session.folder / "figures")
        printer = CellPrinter(self._terminal, figures, self._session.session_id, numbered=numbered)
        while (text := await source()) is not None:
            code = text.rstrip()
            if code in ("exit", "quit", "exit()", "quit()"):
                return
            if code:
                await self._take(code, printer, keep_on=numbered)

    async def _take(self, code: str, printer: CellPrinter, *, keep_on: bool) -> None:
        try:
            await (carry_out(code, self._commands) if code.startswith(":") else self._cell(code, printer))
        except ThreadbookError as exc:
            # A person reads the line and can do something about it; a script cannot.
            if not keep_on:
                raise
            self._terminal.line(app.explain(exc)[1])

    async def _cell(self, code: str, printer: CellPrinter) -> None:
        files, self._files = self._files, []
        count = None
        try:
            result = await run_cell(self._session, code, printer, self._manners, files=files)
        except GivenUpError:
            self._failed = True
        else:
            self._failed = self._failed or not result.ok
            count = result.execution_count
        self._number = count + 1 if count is not None and self._session.has_kernel else await self._next_number()

    async def _meet_kernel(self) -> None:
        """Have a kernel that can say what is complete; do without as long as it works for somebody else."""
        if (await self._session.info()).state in ("busy", "starting"):
            self._terminal.line(f"session {self._session.session_id} is busy; the first cell waits for its end")
        else:
            await self._session.warm_up()
        self._number = await self._next_number()

    async def _next_number(self) -> int:
        return next_number(await asyncio.to_thread(self._session.read_history))

    # Commands.

    async def _help(self, _: str) -> None:
        self._terminal.line(HELP, "stdout")

    async def _file(self, argument: str) -> None:
        path = file_to_hand_in(argument)
        self._files.append(path)
        self._terminal.line(f"handed in with the next cell; load_file({path.name!r}) opens it", "stdout")

    async def _export(self, argument: str) -> None:
        await write_notebook(self._interpreter, self._session, self._terminal, argument)

    async def _restart(self, _: str) -> None:
        await self._session.restart()
        self._number = 1
        self._terminal.line("a fresh kernel; the variables are gone", "stdout")

    def _say_goodbye(self) -> None:
        if not self._session.has_kernel:
            return
        minutes = self._interpreter.settings.kernel_idle_timeout / 60
        self._terminal.line(f"The kernel stays for {minutes:g} min without a cell. Come back with: {self._way_back()}", "stdout")

    def _way_back(self) -> str:
        session = self._session
        options = [("--user", session.user_id, "local"), ("--session", session.session_id, "default")]
        given = [f"{name} {shlex.quote(value)}" for name, value, usual in options if value != usual]
        return " ".join(["threadbook console", *given])


def next_number(history: SessionHistory) -> int:
    """Return the number that the next cell has in the kernel that the session had last."""
    counts = [cell.execution_count for cell in history.cells if cell.kernel_id == history.last_kernel_id]
    return max((count for count in counts if count is not None), default=0) + 1
