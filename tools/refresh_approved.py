"""``make refresh-approved``: compare the import names in approved.toml with the real wheels, and record what was found.

Each distribution is installed alone (wheels only, no dependencies) into a folder that is removed again, with the uv and the index
of this machine. What its wheel holds goes to approved_record.json; what does not agree is printed, and the status is 1 then.
``ARGS="NAME …"`` restricts it to some; ``ARGS=--offline`` to what uv's cache has.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kernel_manager.packages.approved import Approved, ApprovedPackages
from kernel_manager.packages.requirement import normalised
from kernel_manager.packages.uv import explain_failure, find_uv, run_uv

RECORD = Path(__file__).resolve().parent.parent / "kernel_manager" / "packages" / "approved_record.json"
_SUFFIXES = (".py", ".so", ".pyd")


def main() -> int:
    """Check, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="distributions (default: all)")
    parser.add_argument("--offline", action="store_true", help="only what uv's cache has")
    options = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    wrong = missing = 0
    for package in _chosen(options.names):
        found = _modules_of(package, offline=options.offline)
        if isinstance(found, str):
            missing += 1
            print(f"{package.name}: {found}", file=sys.stderr)
            continue
        version, modules = found
        record[package.name] = {"version": version, "modules": modules}
        lacking = [name for name in package.imports if name not in modules]
        wrong += bool(lacking)
        print(f"{package.name} {version}: " + (f"lacks {', '.join(lacking)}" if lacking else "ok"))
    RECORD.write_text(json.dumps(dict(sorted(record.items())), indent=1) + "\n")
    print(f"{len(record)} recorded, {wrong} wrong, {missing} not to be had")
    return 1 if wrong or (missing and not options.offline) else 0


def _chosen(names: Iterable[str]) -> list[Approved]:
    wanted = {normalised(name) for name in names}
    return [package for package in ApprovedPackages.load() if not wanted or package.name in wanted]


def _modules_of(package: Approved, *, offline: bool) -> tuple[str, list[str]] | str:
    """The version and the modules of a wheel, as deep as its import names, or why there is none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = ["pip", "install", "--target", name, "--no-deps", "--no-build", "--python", sys.executable]
        status, output = run_uv(find_uv(), [*arguments, *(["--offline"] if offline else []), package.requirement], cwd=folder)
        if status:
            return explain_failure(output, status)
        (info,) = folder.glob("*.dist-info")
        with (info / "RECORD").open(newline="") as lines:
            paths = [Path(row[0]) for row in csv.reader(lines) if row]
        return info.name.removesuffix(".dist-info").split("-")[1], sorted(set(_importable(paths, _depth_of(package))))


def _depth_of(package: Approved) -> int:
    """How many parts the longest of its import names has: no more of a wheel needs to be recorded."""
    return 1 + max(name.count(".") for name in package.imports)


def _importable(paths: Iterable[Path], depth: int) -> Iterable[str]:
    for path in paths:
        if path.suffix not in _SUFFIXES or path.parts[0].endswith((".dist-info", ".libs")) or path.parts[0] in ("..", "bin"):
            continue
        parts = [*path.parts[:-1], path.name.split(".")[0]]
        names = parts[:-1] if parts[-1] == "__init__" else parts
        for count in range(1, min(len(names), depth) + 1):
            if all(part.isidentifier() for part in names[:count]):
                yield ".".join(names[:count])


if __name__ == "__main__":
    sys.exit(main())
