"""The provisioner for other Jupyter applications: `threadbook kernelspec install` makes it a kernel of theirs.

Our own sessions talk to :class:`~kernel_manager.provisioning.live_kernel.LiveKernel` directly; this is the same
kernel behind jupyter_client's interface.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerBase

from kernel_manager.config import Settings
from kernel_manager.errors import KernelStartError
from kernel_manager.provisioning.factory import make_launcher
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.launcher import KernelRequest
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel
from kernel_manager.provisioning.runtime import Runtime

#: The user whose folders the kernels of other Jupyter applications work in.
JUPYTER_USER = "jupyter"


class ZygoteProvisioner(KernelProvisionerBase):
    """Gets kernels from the zygote, or started one by one where KERNEL_PROVISIONER says so."""

    _kernel: LiveKernel | None = None
    _report: ExitReport | None = None
    _request: KernelRequest | None = None

    @property
    def has_process(self) -> bool:
        """Whether a kernel was launched and not yet waited for."""
        return self._kernel is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Called by KernelManager before ``launch_kernel``; the command is ours, so nothing is substituted into one."""
        self._settings = Settings.load()
        self._runtime = Runtime(self._settings.runtime_path)
        self._runtime.open()
        kwargs.pop("extra_arguments", None)
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Called by KernelManager; returns where the kernel listens, which the manager then writes to its own file."""
        folder = self._runtime.create(key=self.parent.session.key.decode() if self.parent else None)
        request = KernelRequest(folder.kernel_id, JUPYTER_USER, folder.kernel_id, self._settings.kernel_idle_timeout)
        workspace = self._settings.data_dir / "sessions" / request.user / request.session / "workspace"
        workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        launcher = make_launcher(self._settings, KernelEnvironment.at(self._settings.environments_path / "current"))
        try:
            self._kernel = await LiveKernel.start(folder, launcher, request, self._settings.kernel_start_timeout)
        finally:
            await launcher.aclose()
        self._kernel.lease()
        self._report = None
        connection = folder.connection()
        self.connection_info = cast("KernelConnectionInfo", {**connection, "key": connection["key"].encode()})
        return self.connection_info

    async def poll(self) -> int | None:
        """None while the kernel lives, else its exit status (negative: the signal)."""
        if self._kernel is None:
            return 0 if self._report is None else _status(self._report)
        if self._kernel.alive:
            return None
        return _status(self._kernel.exited.result())

    async def wait(self) -> int | None:
        """Wait until the kernel has ended."""
        if self._kernel is None:
            return await self.poll()
        self._report = await asyncio.shield(self._kernel.exited)
        await self._kernel.aclose()
        self._kernel.folder.remove()
        self._kernel = None
        return _status(self._report)

    async def send_signal(self, signum: int) -> None:
        """Called by KernelManager to interrupt and to end the kernel."""
        if self._kernel is None:
            return
        if signum == signal.SIGKILL:
            self._kernel.kill("stop")
        elif signum:
            self._kernel.send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """End the kernel and all it started."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Ask the kernel to end."""
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Called by KernelManager when the kernel has ended."""
        if self._kernel is not None:
            await self._kernel.aclose()

    async def get_provisioner_info(self) -> dict[str, Any]:
        """What another process needs to take this kernel over."""
        info = await super().get_provisioner_info()
        if self._kernel is not None:
            info["threadbook_kernel_id"] = self._kernel.folder.kernel_id
        return info

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        """Take over a kernel that another process launched; raises KernelStartError if it is gone."""
        await super().load_provisioner_info(provisioner_info)
        runtime = Runtime(Settings.load().runtime_path)
        self._kernel = await LiveKernel.attach(runtime.folder(str(provisioner_info["threadbook_kernel_id"])))
        if self._kernel is not None:
            self._kernel.lease()
        else:
            raise KernelStartError("the kernel has ended meanwhile; start a new one")


def _status(report: ExitReport) -> int:
    if report.signal is not None:
        return -report.signal
    return report.exit_code if report.exit_code is not None else 1
