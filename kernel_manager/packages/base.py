"""What a kernel environment has to offer: read from base.toml."""

from __future__ import annotations

import hashlib
import json
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Base:
    """What an environment has to offer: requirements, modules that have to import, and code as most sessions run it."""

    requirements: tuple[str, ...]
    preload: tuple[str, ...] = ()
    warm_up: tuple[str, ...] = ()

    @classmethod
    def load(cls, profile: str = "full") -> Base:
        """Read a profile of ``base.toml``, which is part of this package: ``minimal``, or ``full``, which has that too."""
        table = tomllib.loads(resources.files("kernel_manager.packages").joinpath("base.toml").read_text(encoding="utf-8"))
        parts = [table["minimal"], *([table[profile]] if profile != "minimal" else [])]
        names = ("requirements", "preload", "warm_up")
        return cls(**{name: tuple(item for part in parts for item in part[name]) for name in names})

    @property
    def digest(self) -> str:
        """Of all that decides what an environment is: these lists, Python's minor version, the platform. SHA-256, hex."""
        described = [
            sorted(self.requirements),
            self.preload,
            self.warm_up,
            sys.implementation.cache_tag,
            sysconfig.get_platform(),
        ]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()
