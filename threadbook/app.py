"""What surrounds every command: the interpreter it gets, the exit status and the one line that its errors become."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from kernel_manager import Interpreter

OK = 0
CODE_FAILED = 1
USAGE = 2
SERVICE_FAILED = 3
INTERRUPTED = 130


@asynccontextmanager
async def open_interpreter() -> AsyncIterator[Interpreter]:
    """Open the interpreter with the settings of this process; what it has to build first is told on stderr."""
    from kernel_manager import Settings
    from kernel_manager import open_interpreter as open_with

    async with open_with(Settings.load(), progress=report) as interpreter:
        yield interpreter


def report(line: str) -> None:
    """Show a line about the work itself, which is never part of a command's output."""
    if sys.stderr is not None:
        print(f"threadbook: {line}", file=sys.stderr, flush=True)


def call(options: argparse.Namespace) -> int:
    """Carry out ``options.function`` to its exit status. Errors become one line on stderr, never a traceback."""
    _prepare_streams()
    try:
        status = _carry_out(options)
        _flush(sys.stdout)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        # Who read the output has gone, and needs no telling.
        status = OK
    except Exception as exc:  # the boundary: a person gets a line, whatever went wrong
        if sys.flags.dev_mode:
            raise
        status, line = explain(exc)
        with suppress(OSError):
            report(line)
    _close_quietly()
    return status


def explain(exc: BaseException) -> tuple[int, str]:
    """Return the exit status that an error stands for, and the line that says what to do."""
    from kernel_manager.errors import ServiceError, UsageError

    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    line = one_line(str(exc))
    match exc:
        case UsageError():
            return USAGE, line
        case ServiceError():
            return SERVICE_FAILED, line
        case OSError():
            where = f"{exc.filename}: " if exc.filename else ""
            return SERVICE_FAILED, one_line(f"{where}{exc.strerror or exc}")
    return SERVICE_FAILED, f"internal error ({type(exc).__name__}: {line}); `python -X dev -m threadbook …` shows where"


def one_line(text: str) -> str:
    """Return the text in one line that is safe to show in a terminal."""
    from threadbook.control_sequences import plain

    return " ".join(plain(text).split())


def _carry_out(options: argparse.Namespace) -> int:
    module, _, name = options.function.partition(":")
    result: int | Coroutine[Any, Any, int] = getattr(importlib.import_module(module), name)(options)
    return result if isinstance(result, int) else _run(result)


def _run(coroutine: Coroutine[Any, Any, int]) -> int:
    import asyncio

    _log_in_one_line()
    return asyncio.run(coroutine)


def _log_in_one_line() -> None:
    import logging

    class OneLine(logging.Formatter):
        """Without tracebacks: what the log says is for a person at a terminal."""

        def format(self, record: logging.LogRecord) -> str:
            return f"threadbook: {record.levelname.lower()}: {one_line(record.getMessage())}"

    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _prepare_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding shows what it lacks as an escape, instead of ending the command.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def _flush(stream: TextIO | None) -> None:
    if stream is not None:
        stream.flush()


def _close_quietly() -> None:
    """Let go of what cannot be written any more: Python would complain about it when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            _flush(stream)
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
