"""``threadbook kernelspec``: Threadbook's kernel for other Jupyter applications."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager

from kernel_manager.errors import StorageError
from threadbook import app

NAME = "threadbook"
# The provisioner starts the kernel, no command does; but a kernelspec must have one.
SPEC: dict[str, Any] = {
    "argv": ["threadbook", "{connection_file}"],
    "display_name": "Threadbook",
    "language": "python",
    "interrupt_mode": "signal",
    "metadata": {"kernel_provisioner": {"provisioner_name": "threadbook-provisioner"}, "debugger": False},
}


def install(options: argparse.Namespace) -> int:
    """Install the kernelspec and print where it lies."""
    prefix = None if options.user else options.prefix or sys.prefix
    with tempfile.TemporaryDirectory() as scratch:
        # A folder within: the copy keeps the permissions, and those of the scratch folder are for its owner only.
        folder = Path(scratch) / NAME
        folder.mkdir()
        (folder / "kernel.json").write_text(json.dumps(SPEC, indent=2) + "\n", encoding="utf-8")
        try:
            target = KernelSpecManager().install_kernel_spec(str(folder), NAME, user=options.user, prefix=prefix)
        except OSError as exc:
            why = f"{exc.filename or prefix}: {exc.strerror or exc}"
            raise StorageError(f"kernelspec not installed ({why}); choose another place with --user or --prefix") from exc
    print(target)
    return app.OK
