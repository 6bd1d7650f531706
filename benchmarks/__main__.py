"""``python -m benchmarks``: measures, prints a Markdown table. The exit status says nothing about times."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, table
from benchmarks.arena import QUICK, Arena, Plan, open_arena
from benchmarks.measures import MEASURES
from benchmarks.row import Row
from kernel_manager import Settings, ThreadbookError
from kernel_manager.packages.environments import Environments

_MEASURE_TIMEOUT_S = 900


def main(arguments: Sequence[str] | None = None, plan: Plan | None = None) -> int:
    """Run what the command line asks for; ``plan`` overrides how often."""
    options = _parser().parse_args(arguments)
    try:
        environment = Environments.from_settings(Settings.load()).ensure(_say)
    except ThreadbookError as exc:
        _say(str(exc))
        return 0
    facts = machine.facts(environment)
    print("".join(f"{name}: {value}\n" for name, value in facts.items()), flush=True)

    async def measure() -> list[Row]:
        with tempfile.TemporaryDirectory(prefix="tb-", ignore_cleanup_errors=True) as folder:
            async with open_arena(Path(folder), environment, plan or (QUICK if options.quick else Plan())) as arena:
                return await run(arena, options.only or list(MEASURES))

    rows = asyncio.run(measure())
    print(table.render(rows))
    if options.json:
        document = {"machine": facts, "rows": [row.to_dict() for row in rows]}
        options.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return 0


async def run(arena: Arena, names: Sequence[str]) -> list[Row]:
    """Run measures one after the other; what fails says so in its row, and the others go on."""
    rows = []
    for name in names:
        _say(f"{name} …")
        try:
            async with asyncio.timeout(_MEASURE_TIMEOUT_S):
                rows += await MEASURES[name](arena)
        except Exception as exc:  # noqa: BLE001  (the other measures are wanted whatever went wrong here)
            rows.append(Row(name, "ms", failure=f"{type(exc).__name__}: {exc}"))
    return rows


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Threadbook side by side with plain jupyter_client, with the same kernel environment.",
        epilog="example: python -m benchmarks --quick --only figure --only round-trip",
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="one measure (repeatable)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything, samples included, to a file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
