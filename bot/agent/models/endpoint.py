"""Where a model is."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is. ``timeout`` is how many seconds it may send nothing."""

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 300.0
