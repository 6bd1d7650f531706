"""``threadbook env``: the Python environment that kernels run in."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from kernel_manager.config import Settings
from kernel_manager.packages.environments import Environments
from threadbook import app
from threadbook.table import aligned


def build(options: argparse.Namespace) -> int:
    """Build the environment; the steps are shown on stderr."""
    environments = _environments()
    # What uv draws is for a person to look at.
    show_output = sys.stderr is not None and sys.stderr.isatty()
    work = environments.ensure if options.if_needed else environments.build
    environment = work(app.report, show_output)
    if options.json:
        print(json.dumps(environments.status()))
    else:
        print(f"kernel environment {environment.generation}: {environment.package_count} packages, {environment.python}")
    return app.OK


def status(options: argparse.Namespace) -> int:
    """Print what the environment is; without one, say how to build it."""
    found = _environments().status()
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(status_lines(found)))
    return app.OK


def status_lines(found: dict[str, Any]) -> list[str]:
    """Return the lines that tell of an environment."""
    if found["python"] is None:
        return [f"no kernel environment in {found['root']}; `threadbook env build` makes one"]
    failed = [("last build", f"failed: {app.one_line(found['failure'])}")] if found.get("failure") else []
    fresh = "up to date" if found["fresh"] else "outdated; `threadbook env build` renews it"
    return aligned(
        [
            ("generation", f"{found['generation']} ({fresh})"),
            ("python", str(found["python"])),
            ("packages", str(found["package_count"])),
            ("size", f"{found['size_mb']:g} MB"),
            ("built", str(found["built_at"])),
            *failed,
        ]
    )


def _environments() -> Environments:
    return Environments.from_settings(Settings.load())
