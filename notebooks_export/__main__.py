"""``python -m notebooks_export``: write the notebook of a history."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from kernel_manager import Settings, ThreadbookError, UsageError, open_interpreter
from kernel_manager.sessions.history import History, SessionHistory
from notebooks_export.arguments import add_export_options, export_options
from notebooks_export.exporting import Export, export_history
from notebooks_export.options import ExportOptions


class _OneLineParser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, or 2 with one line on stderr that says what to do."""
    options = _parser().parse_args(arguments)
    try:
        history = _read(options.history)
        workspace = options.history.resolve().parent / "workspace"
        export = asyncio.run(_export(history, export_options(options), workspace if workspace.is_dir() else None))
        out = export.write(options.out)
    except (ThreadbookError, OSError, ValueError) as exc:
        _say(str(exc))
        return 2
    for line in lines_about(export):
        _say(line)
    sys.stdout.write(f"{out}\n")
    return 0


def lines_about(export: Export) -> list[str]:
    """What a person should know about an export."""
    lines = list(export.notes)
    if export.verification is not None:
        lines.append(export.verification.sentence)
    return lines


async def _export(history: SessionHistory, options: ExportOptions, workspace: Path | None) -> Export:
    settings = Settings.load()
    if not (options.verify or options.clean or options.bundle):
        return await export_history(history, options, settings, workspace=workspace)
    async with open_interpreter(settings, progress=_say) as interpreter:
        return await export_history(history, options, settings, workspace=workspace, interpreter=interpreter)


def _say(line: str) -> None:
    sys.stderr.write(f"notebooks_export: {' '.join(line.split())}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(
        prog="python -m notebooks_export",
        description="Write the notebook (nbformat 4.5) of a session's history.",
        epilog="example: python -m notebooks_export history.jsonl -o analysis.ipynb",
    )
    parser.add_argument("history", metavar="HISTORY.jsonl", type=Path, help="the history.jsonl in a session's folder")
    default = "default: the session's name, in the current folder"
    parser.add_argument("-o", "--output", dest="out", metavar="PATH", type=Path, help=f"where to write; {default}")
    add_export_options(parser)
    return parser


def _read(path: Path) -> SessionHistory:
    if not path.exists():
        raise UsageError(f"{path} does not exist; give the history.jsonl of a session")
    history = History(path.resolve(), lambda: datetime.now(UTC)).read()
    if not (history.session_id or history.entries):
        raise UsageError(f"{path} is not the history of a session; give the history.jsonl of one")
    return history


if __name__ == "__main__":
    sys.exit(main())
