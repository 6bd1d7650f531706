"""The loaders of ``load_file``: what a file is, and what opens it. The table of types is :mod:`file_types`, one folder up.

``source``       one file: its bytes, unpacked, and what has to be said about it
``recognition``  which type a file is, by content first, then by extension
``limited``      a loader in a process of its own, with limits
``conversion``   a DataFrame of what a loader gave, for ``as_='table'``
The others hold the loaders, one module for each family of formats.

Importing any of them imports the standard library only; a loader imports its own library when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def resolve(name: str) -> Callable[..., Any]:
    """The function that ``module:function`` names in this package."""
    module, function = name.split(":")
    found: Callable[..., Any] = getattr(import_module(f".{module}", __name__), function)
    return found
