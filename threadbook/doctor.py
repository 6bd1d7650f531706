"""``threadbook doctor``: what keeps kernels in, and what is missing on this machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict

from kernel_manager.provisioning.sandbox import SandboxReport
from threadbook import app
from threadbook.table import aligned

#: The exit status when a protection is missing.
MISSING = 1


async def doctor(options: argparse.Namespace) -> int:
    """Print each protection; the exit status says whether all hold."""
    async with app.open_interpreter() as interpreter:
        report = await interpreter.examine_sandbox()
    if options.json:
        print(json.dumps(as_json(report), indent=2))
    else:
        print("\n".join(lines(report)))
    return MISSING if report.missing or report.sandbox == "none" else app.OK


def as_json(report: SandboxReport) -> dict[str, object]:
    """Return the report as one JSON object."""
    return {**asdict(report), "missing": [protection.name for protection in report.missing], "isolates": report.isolates}


def lines(report: SandboxReport) -> Iterator[str]:
    """Return the report as a person reads it."""
    yield from aligned([_row(protection.name, protection.held, protection.means) for protection in report.protections])
    yield ""
    for protection in report.missing:
        yield f"{protection.name}: {protection.advice}"
    yield _verdict(report)


def _row(name: str, held: bool, means: str) -> tuple[str, str, str]:
    return ("ok" if held else "MISSING", name, means if held else "")


def _verdict(report: SandboxReport) -> str:
    if report.sandbox == "none":
        return "SANDBOX=none: kernels are not jailed; code can do whatever the service's user can."
    if not report.missing:
        return "All protections hold."
    if report.sandbox == "strict":
        return "SANDBOX=strict: no kernel starts here."
    apart = "" if report.isolates else ", and are NOT apart from this machine"
    return f"SANDBOX=auto: kernels start with what there is{apart}."
