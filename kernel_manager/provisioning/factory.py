"""Which launcher the settings and the platform ask for."""

from __future__ import annotations

import sys

from kernel_manager.config import Settings
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.launcher import Launcher
from kernel_manager.provisioning.local_launcher import LocalLauncher
from kernel_manager.provisioning.zygote_launcher import ZygoteLauncher


def make_launcher(settings: Settings, environment: KernelEnvironment) -> Launcher:
    """Return the zygote's launcher on Linux, the one-by-one launcher elsewhere or when the setting says so."""
    runtime, data = settings.runtime_path, settings.data_dir.expanduser().absolute()
    if settings.kernel_provisioner == "zygote" or (settings.kernel_provisioner == "auto" and sys.platform == "linux"):
        return ZygoteLauncher(environment, runtime, data, idle_timeout=settings.zygote_idle_timeout)
    return LocalLauncher(environment, runtime, data)
