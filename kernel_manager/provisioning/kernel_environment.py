"""The Python that kernels run in, as far as starting them needs to know it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kernel_manager.errors import KernelStartError

MANIFEST = "threadbook-environment.json"


@dataclass(frozen=True, slots=True)
class KernelEnvironment:
    """One generation. ``preload`` names the modules that the zygote imports before it forks."""

    generation: str
    python: Path
    preload: tuple[str, ...] = ()

    @classmethod
    def at(cls, root: Path) -> KernelEnvironment:
        """Read the generation in the folder ``root``, or in the one that a link names; raises KernelStartError."""
        try:
            folder = root.resolve(strict=True)
            preload = json.loads((folder / MANIFEST).read_text()).get("preload", ())
        except (OSError, ValueError, AttributeError) as exc:
            raise KernelStartError(f"there is no kernel environment in {root}; run `threadbook env build`") from exc
        return cls(folder.name, folder / "bin" / "python", tuple(map(str, preload)))
