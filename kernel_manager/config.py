"""Settings: one class, read from the environment and ``.env``, passed in from there on."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kernel_manager.errors import SettingsError


class Settings(BaseSettings):
    """Every setting, its default and its range. The README's table is generated from this class."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("threadbook", appauthor=False),
        description="Sessions, files and environments.",
    )
    runtime_dir: Path | None = Field(
        default=None,
        description="Sockets of live kernels; a short path. Default: below XDG_RUNTIME_DIR, /run (root) or /tmp.",
    )
    environments_dir: Path | None = Field(
        default=None, description="Kernel environments. Default: `environments` under DATA_DIR."
    )
    kernel_provisioner: Literal["auto", "zygote", "local"] = Field(
        default="auto",
        description="Kernels are forked from a preloaded process (zygote) or started one by one (local). auto: zygote on Linux.",
    )
    code_execution_timeout: float = Field(
        default=300, gt=0, le=86_400, description="Seconds of code running; installs and waiting for input() do not count."
    )
    code_wall_timeout: float = Field(
        default=3600, gt=0, le=604_800, description="Seconds that one cell may take in all, waiting for input() included."
    )
    interrupt_grace: float = Field(
        default=5, ge=0, le=600, description="Seconds between the interrupt of a cell and the end of its kernel."
    )
    input_timeout: float = Field(
        default=300, gt=0, le=86_400, description="Seconds that input() waits for an answer before the cell gets an EOFError."
    )
    kernel_start_timeout: float = Field(default=60, gt=0, le=600, description="Seconds within which a kernel must be up.")
    kernel_idle_timeout: float = Field(
        default=3600, gt=0, le=31_536_000, description="Seconds without a cell after which a kernel ends by itself."
    )
    zygote_idle_timeout: float = Field(
        default=300, ge=0, le=31_536_000, description="Seconds that the preloaded process stays after its last kernel ended."
    )
    sandbox: Literal["auto", "strict", "none"] = Field(
        default="auto",
        description="Jail of kernels. strict: no kernel starts unless every protection holds; auto: what this machine gives, "
        "with a warning; none: code can do what the service can.",
    )
    kernel_network: bool = Field(
        default=False, description="Let code use the network, this machine's own services included. Off: not even loopback."
    )
    kernel_memory_mb: int = Field(
        default=1024, ge=128, le=1_048_576, description="Memory of one kernel and all that it starts, in MB; swap none."
    )
    kernel_processes: int = Field(default=256, ge=16, le=100_000, description="Processes and threads of one kernel.")
    kernel_cpus: float = Field(
        default=1.0, ge=0.1, le=1_024, description="Processors that one kernel may use; needs a control group."
    )
    kernel_open_files: int = Field(default=1024, ge=64, le=1_048_576, description="Open files of one process.")
    kernel_file_size_mb: int = Field(default=1024, ge=1, le=1_048_576, description="Largest file that code can write, in MB.")
    kernel_tmp_mb: int = Field(default=256, ge=8, le=1_048_576, description="Size of /tmp and of /dev/shm in a jail, in MB each.")
    workspace_mb: int = Field(
        default=1024, ge=16, le=1_048_576, description="What may lie in one session's working folder, in MB."
    )
    workspace_files: int = Field(
        default=20_000, ge=100, le=10_000_000, description="Files and folders in one session's working folder."
    )
    max_kernels: int = Field(default=32, ge=1, le=10_000, description="Live kernels in all.")
    max_kernels_per_user: int = Field(default=3, ge=1, le=1_000, description="Live kernels of one user.")
    max_output_text_kb: int = Field(
        default=512, ge=4, le=65_536, description="Text that one cell keeps, in KB; the middle of a longer one is cut."
    )
    max_output_mb: int = Field(
        default=32, ge=1, le=1_024, description="All outputs of one cell together, figures included, in MB."
    )
    max_outputs: int = Field(default=200, ge=2, le=10_000, description="Outputs that one cell keeps; the middle of more is cut.")
    max_artifacts: int = Field(default=50, ge=0, le=10_000, description="Files named in the result of one cell.")
    max_file_size_mb: int = Field(default=50, ge=1, le=10_240, description="One file, in MB: handed in, or named in a result.")

    @field_validator("data_dir", "runtime_dir", "environments_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """``~`` is the user's home, and a relative path means the same wherever the process goes later."""
        return None if path is None else path.expanduser().absolute()

    @classmethod
    def load(cls) -> Settings:
        """Read the settings, or raise :class:`SettingsError` in one line that names each setting that is wrong."""
        try:
            return cls()
        except ValidationError as exc:
            raise SettingsError(_explain(exc)) from exc
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(f".env cannot be read ({exc}); make it readable UTF-8 text or remove it") from exc

    @cached_property
    def runtime_path(self) -> Path:
        """The folder of this data folder's sockets: short, because a socket's path must stay under 108 bytes."""
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:10]
        return (self.runtime_dir or _default_runtime_base()) / digest

    @cached_property
    def environments_path(self) -> Path:
        """Where the generations of the kernel environment lie."""
        return self.environments_dir or self.data_dir / "environments"


def _default_runtime_base() -> Path:
    if base := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(base) / "threadbook"
    uid = os.getuid() if hasattr(os, "getuid") else 0
    if uid == 0 and os.access("/run", os.W_OK):
        return Path("/run/threadbook")
    return Path(tempfile.gettempdir()) / f"threadbook-{uid}"


def _explain(exc: ValidationError) -> str:
    lines = []
    for error in exc.errors():
        name = "_".join(str(part) for part in error["loc"]).upper()
        lines.append(f"{name}={error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}; change or unset it")
    return "; ".join(lines)
