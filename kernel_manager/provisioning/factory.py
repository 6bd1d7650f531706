"""Which launcher the settings and the platform ask for."""

from __future__ import annotations

import json
import sys

from kernel_manager.config import Settings
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.launcher import Launcher
from kernel_manager.provisioning.local_launcher import LocalLauncher
from kernel_manager.provisioning.zygote_launcher import ZygoteLauncher


def make_launcher(settings: Settings, environment: KernelEnvironment) -> Launcher:
    """Return the zygote's launcher on Linux, the one-by-one launcher elsewhere or when the setting says so."""
    runtime, data = settings.runtime_path, settings.data_dir.expanduser().absolute()
    demand = sandbox_demand(settings)
    if settings.kernel_provisioner == "zygote" or (settings.kernel_provisioner == "auto" and sys.platform == "linux"):
        return ZygoteLauncher(environment, runtime, data, idle_timeout=settings.zygote_idle_timeout, demand=demand)
    return LocalLauncher(environment, runtime, data, demand)


def sandbox_demand(settings: Settings) -> str:
    """What kernels are to be jailed with, in the words of the kernel side; nothing where there is no jail."""
    if settings.sandbox == "none" or sys.platform != "linux":
        return ""
    return json.dumps(
        {
            "sandbox": settings.sandbox,
            "network": settings.kernel_network,
            "memory_mb": settings.kernel_memory_mb,
            "processes": settings.kernel_processes,
            "cpus": settings.kernel_cpus,
            "open_files": settings.kernel_open_files,
            "file_size_mb": settings.kernel_file_size_mb,
            "tmp_mb": settings.kernel_tmp_mb,
            "workspace_mb": settings.workspace_mb,
            "workspace_files": settings.workspace_files,
        }
    )
