"""``threadbook packages``: what was installed for a user, beside the kernel environment."""

from __future__ import annotations

import argparse
import json

from kernel_manager.packages.overlay import OverlayContent
from kernel_manager.packages.user_packages import UserPackages
from threadbook import app
from threadbook.table import aligned


async def list_packages(options: argparse.Namespace) -> int:
    """Print every package with its version."""
    async with app.open_interpreter() as interpreter:
        packages = await interpreter.user_packages(options.user)
        content = packages.content()
    if options.json:
        print(json.dumps(_document(packages, content)))
    elif content.packages:
        rows = [(name, version, "" if asked else "needed by another") for name, version, asked in content.listed()]
        print("\n".join(aligned(rows)))
    else:
        print(f"nothing was installed for {app.one_line(options.user)}; what a cell imports is installed when it runs")
    return app.OK


async def install(options: argparse.Namespace) -> int:
    """Install packages; the steps are shown on stderr."""
    async with app.open_interpreter() as interpreter:
        await interpreter.prepare()
        packages = await interpreter.user_packages(options.user)
        added = await packages.install(options.packages, app.report)
        content = packages.content()
    if options.json:
        print(json.dumps({**_document(packages, content), "added": added}))
    else:
        listed = ", ".join(f"{name} {version}" for name, version in added.items())
        print(f"installed {listed}" if added else "everything is there already")
    return app.OK


async def reset(options: argparse.Namespace) -> int:
    """Remove them all."""
    async with app.open_interpreter() as interpreter:
        count = await (await interpreter.user_packages(options.user)).reset()
    print(f"removed {count} package{'s' if count != 1 else ''} of {app.one_line(options.user)}")
    return app.OK


def _document(packages: UserPackages, content: OverlayContent) -> dict[str, object]:
    return {
        "generation": packages.generation,
        "requested": list(content.requested),
        "packages": dict(content.packages),
        "size_mb": round(content.size / 1e6, 1),
    }
