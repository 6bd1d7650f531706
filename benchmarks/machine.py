"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from kernel_manager.packages.environments import Environment

_KERNEL_PACKAGES = ("ipykernel", "ipython", "pandas", "matplotlib", "numpy")
_SERVICE_PACKAGES = ("jupyter-client", "pyzmq")


def facts(environment: Environment) -> dict[str, str]:
    """Facts by name, for people to read."""
    return {
        "processors": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "service": ", ".join(f"{name} {metadata.version(name)}" for name in _SERVICE_PACKAGES),
        "kernel environment": ", ".join(f"{name} {version}" for name, version in _versions(environment).items()),
    }


def _versions(environment: Environment) -> dict[str, str]:
    pairs = (line.partition("==") for line in environment.lock.read_text().splitlines())
    versions = {name.lower(): version for name, _, version in pairs}
    return {name: versions[name] for name in _KERNEL_PACKAGES if name in versions}
