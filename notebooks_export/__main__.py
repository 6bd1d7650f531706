"""``python -m notebooks_export``: a history file becomes a notebook."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from kernel_manager.errors import ThreadbookError, UsageError
from kernel_manager.sessions.history import History, SessionHistory
from kernel_manager.sessions.names import folder_name
from notebooks_export.notebook import to_notebook, write_notebook


class _OneLineParser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, or 2 with one line on stderr that says what to do."""
    options = _parser().parse_args(arguments)
    try:
        history = _read(options.history)
        out = options.out or Path(f"{folder_name(history.session_id or options.history.stem)}.ipynb")
        write_notebook(to_notebook(history), out)
    except (ThreadbookError, OSError, ValueError) as exc:
        sys.stderr.write(f"notebooks_export: {' '.join(str(exc).split())}\n")
        return 2
    if history.damaged_lines:
        sys.stderr.write(f"notebooks_export: {history.damaged_lines} damaged lines were left out\n")
    sys.stdout.write(f"{out}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(
        prog="python -m notebooks_export",
        description="Write the notebook (nbformat 4.5) of a session's history.",
        epilog="example: python -m notebooks_export history.jsonl -o analysis.ipynb",
    )
    parser.add_argument("history", metavar="HISTORY.jsonl", type=Path, help="the history.jsonl in a session's folder")
    default = "default: the session's name, in the current folder"
    parser.add_argument("-o", dest="out", metavar="OUT.ipynb", type=Path, help=f"where to write; {default}")
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
