"""What keeps the code in its kernel."""

from __future__ import annotations


def sandbox() -> str:
    """Return the name of the containment that kernels get: none yet."""
    return "none"
