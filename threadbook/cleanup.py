"""``threadbook cleanup``: what has expired or was abandoned goes, now."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from threadbook import app

if TYPE_CHECKING:
    from kernel_manager import CleanupReport


async def cleanup(options: argparse.Namespace) -> int:
    """Do a round and print what went; the status tells whether all parts of it could be done."""
    async with app.open_interpreter() as interpreter:
        report = await interpreter.cleanup()
    if options.json:
        print(json.dumps(report.to_dict()))
    else:
        for line in report_lines(report):
            print(app.one_line(line))
    for error in report.errors:
        app.report(app.one_line(error))
    return app.SERVICE_FAILED if report.errors else app.OK


def report_lines(report: CleanupReport) -> Iterator[str]:
    """Return a line for each thing that went, and one for all of it."""
    kinds = {
        "file": report.files,
        "put right": report.put_right,
        "session": report.sessions,
        "empty folder": report.folders,
        "runtime": report.runtime,
    }
    for kind, names in kinds.items():
        for name in names:
            yield f"{kind}: {name}"
    yield str(report)
