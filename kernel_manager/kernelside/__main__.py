"""``python kernelside zygote|init|kernel|doctor …``: the entry of the kernel environment's Python.

The package is loaded under the name ``kernelside`` from its own folder, so that nothing of the service is importable
from a kernel.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib
import importlib.util
import os
import sys
from pathlib import Path

#: Held (shared) by every process that runs in the environment; the service looks whether anybody does.
IN_USE = "in-use.lock"


def load_package() -> None:
    """Make ``kernelside`` importable without putting any folder on ``sys.path``."""
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location("kernelside", folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kernelside"] = module
    spec.loader.exec_module(module)


def hold_environment() -> int | None:
    """Keep the environment from being removed, by a lock on a file in it, while any process has the descriptor returned."""
    try:
        held = os.open(os.path.join(sys.prefix, IN_USE), os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_SH)
    except OSError:
        return None
    return held


def main() -> None:
    """Parse the command line and run one of the roles."""
    held = hold_environment()
    parser = argparse.ArgumentParser(prog="kernelside")
    parser.add_argument("role", choices=["zygote", "init", "kernel", "doctor"])
    parser.add_argument("--runtime", default="")
    parser.add_argument("--data", default="")
    parser.add_argument("--demand", default="", help="what the sandbox is to give, as JSON; nothing: there is none")
    parser.add_argument("--idle-timeout", type=float, default=3600)
    parser.add_argument("--preload", default="")
    parser.add_argument("--fd", type=int, help="the listening socket (zygote)")
    parser.add_argument("--kernel", help="the request as JSON (init, kernel)")
    parser.add_argument("--pipes", help="the descriptors of sockets and pipes (kernel)")
    options = parser.parse_args()
    options.held = held
    load_package()
    roles = importlib.import_module("kernelside.roles")
    roles.ROLES[options.role](options)


if __name__ == "__main__":
    sys.path = [entry for entry in sys.path if Path(entry or os.curdir).resolve() != Path(__file__).resolve().parent]
    main()
