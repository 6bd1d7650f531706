"""``threadbook run``: one cell, from the command line."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kernel_manager.errors import UsageError
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.sessions.history import plain_json
from kernel_manager.sessions.session import Session
from threadbook import app
from threadbook.cell import GivenUpError, Manners, run_cell
from threadbook.figures import FigureFolder
from threadbook.printing import CellPrinter, WaitingPrinter
from threadbook.questions import asker
from threadbook.terminal import Terminal


async def run(options: argparse.Namespace) -> int:
    """Run the code; the exit status tells whether it ended well."""
    code, files = read_code(options.code), existing_files(options.files)
    terminal = Terminal()
    async with app.open_interpreter() as interpreter:
        session = await interpreter.session(options.user, options.session)
        printer = (
            WaitingPrinter(terminal, session.session_id)
            if options.json
            else CellPrinter(terminal, FigureFolder(session.folder / "figures"), session.session_id)
        )
        manners = Manners(asker(terminal), terminal.line, interpreter.settings.interrupt_grace)
        try:
            result = await run_cell(session, code, printer, manners, limit=options.timeout, files=files)
        except GivenUpError:
            return app.INTERRUPTED
    if options.json:
        print(to_json(result, session))
    return app.OK if result.ok else app.CODE_FAILED


def read_code(argument: str) -> str:
    """Return the code that the argument is, or that stdin has if the argument is ``-``."""
    try:
        if argument == "-":
            if sys.stdin is None:
                raise UsageError("stdin is closed, so there is no code; pipe it in")
            return sys.stdin.buffer.read().decode("utf-8-sig")
        argument.encode()
    except UnicodeError as exc:
        raise UsageError("the code is not valid UTF-8; save it in that encoding") from exc
    return argument


def existing_files(paths: list[Path]) -> list[Path]:
    """Return the paths if each is a file that can be read; else raise UsageError."""
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path} is not a file; give the path of one that exists")
    return paths


def to_json(result: ExecutionResult, session: Session) -> str:
    """Return the result's fields and whose they are, as one line of JSON in ASCII."""
    content = {**result.to_dict(), "session_id": session.session_id, "user_id": session.user_id}
    return json.dumps(plain_json(content), allow_nan=False)
