"""``threadbook files``: the files that a user's sessions can load."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from threadbook import app
from threadbook.run import existing_files
from threadbook.table import aligned

if TYPE_CHECKING:
    from kernel_manager import UserFile

_UNITS = ("B", "KB", "MB", "GB")


async def add(options: argparse.Namespace) -> int:
    """Add files; what had to go for them is told."""
    paths = existing_files(options.paths)
    added = []
    async with app.open_interpreter() as interpreter:
        for path in paths:
            new = await interpreter.files.add(options.user, path.name, path)
            added.append(new)
            if not options.json:
                print(app.one_line(f"added {new.file.filename} ({new.file.file_id})"))
            for file in new.removed:
                app.report(app.one_line(f"removed {file.filename} ({file.file_id}) to make room"))
            if new.note:
                app.report(app.one_line(new.note))
    if options.json:
        documents = [
            {**new.file.to_dict(), "removed": [file.to_dict() for file in new.removed], "note": new.note} for new in added
        ]
        print(json.dumps(documents))
    return app.OK


async def list_files(options: argparse.Namespace) -> int:
    """Print a line for each file, the newest first."""
    async with app.open_interpreter() as interpreter:
        files = await interpreter.files.list(options.user)
    if options.json:
        print(json.dumps([file.to_dict() for file in files]))
    elif files:
        print("\n".join(file_lines(files)))
    else:
        app.report(f"no files of user {app.one_line(str(options.user))}; `threadbook files add PATH` adds one")
    return app.OK


async def remove(options: argparse.Namespace) -> int:
    """Remove files by id or name; none goes if one of them is not there."""
    removed = []
    async with app.open_interpreter() as interpreter:
        found = [await interpreter.files.find(options.user, name) for name in options.files]
        for file in dict.fromkeys(found):
            removed.append(await interpreter.files.remove(options.user, file.file_id))
            if not options.json:
                print(app.one_line(f"removed {file.filename} ({file.file_id})"))
    if options.json:
        print(json.dumps([file.to_dict() for file in removed]))
    return app.OK


def file_lines(files: Sequence[UserFile]) -> list[str]:
    """Return a table with a heading."""
    rows = [
        (file.file_id, app.one_line(file.filename), file.file_type, readable_size(file.size), readable_time(file.expires_at))
        for file in files
    ]
    return aligned([("FILE ID", "NAME", "TYPE", "SIZE", "EXPIRES"), *rows])


def readable_size(size: float) -> str:
    """Return a number of bytes as a person reads it."""
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def readable_time(moment: datetime | None) -> str:
    """Return a time as a person reads it, in the zone of this machine."""
    return "never" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")
