"""Descriptors: a jail keeps those that it is told to keep."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

_HIGHEST: Final = 2**31 - 1


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor of this process that is not in *keep*.

    One forgotten descriptor of a folder outside would be a door: ``fchdir(2)`` goes through it, whatever the root is.
    """
    low = 0
    for descriptor in sorted(set(keep)):
        if low < descriptor:  # CPython takes the empty range (0, 0) for all descriptors
            os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, _HIGHEST)
