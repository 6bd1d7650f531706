"""``threadbook status``: the service at a glance."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from threadbook import app
from threadbook.table import aligned


async def status(options: argparse.Namespace) -> int:
    """Print the interpreter's status."""
    async with app.open_interpreter() as interpreter:
        found = await interpreter.status()
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(aligned(list(status_rows(found)))))
    return app.OK


def status_rows(found: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, str]]:
    """Return a name and a value for each entry; those of an entry within another one have both names."""
    for key, value in found.items():
        name = f"{group} {key.replace('_', ' ')}".strip()
        if isinstance(value, Mapping):
            yield from status_rows(value, name)
        else:
            yield name, readable(value)


def readable(value: Any) -> str:
    """Return a value of the status as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(readable, value)) or "-"
    return app.one_line(str(value))
