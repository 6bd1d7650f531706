"""What starts kernels: the contract, and what a start needs to be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

#: What the kernel environment's Python is run with.
KERNELSIDE = Path(__file__).resolve().parent.parent / "kernelside"

#: The whole environment of a zygote and its kernels, besides PATH, HOME and the paths of caches.
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    # a chart of plotly's is its data and a page of 9 kB; its default is a page of 5 MB
    "PLOTLY_RENDERER": "plotly_mimetype+notebook_connected",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MALLOC_ARENA_MAX": "1",
    # OpenBLAS's idle threads spin for 2^26 processor cycles, about 25 ms of a core in every new kernel; 2^18 are enough
    "OPENBLAS_THREAD_TIMEOUT": "18",
}
#: A fork takes one thread along, so libraries must not start any when they are imported.
_NO_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}


@dataclass(frozen=True, slots=True)
class KernelRequest:
    """A kernel to start. ``user`` and ``session`` are the names of their folders; the kernel's folder exists already.

    ``selected`` says that the kernel sees the files that were chosen for its session, not all of the user's.
    """

    kernel_id: str
    user: str
    session: str
    idle_timeout: float
    selected: bool = False

    def to_dict(self) -> dict[str, str | float]:
        """The fields by name."""
        return asdict(self)


class Launcher(Protocol):
    """Starts kernels of one environment generation.

    Called by :class:`~kernel_manager.provisioning.live_kernel.LiveKernel`, which afterwards waits for the kernel's
    supervisor to say that it is ready.
    """

    generation: str

    async def launch(self, request: KernelRequest) -> None:
        """Start a supervisor with a kernel. Returns when the supervisor was started; raises KernelStartError."""

    async def aclose(self) -> None:
        """Let go; kernels live on."""


def kernel_environ(python: Path, home: Path, *, threads: bool) -> dict[str, str]:
    """Return the complete environment variables of a kernel's ancestors."""
    cache = python.parent.parent / "cache"
    return {
        **_ENVIRONMENT,
        **({} if threads else _NO_THREADS),
        "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "MPLCONFIGDIR": str(cache / "matplotlib"),
    }
