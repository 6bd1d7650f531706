"""Samples of file types: who writes one, and what has to come out of it. Runs in the kernel environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Write = Callable[[Path], object]
Check = Callable[[Any], object]


@dataclass(frozen=True)
class Sample:
    write: Write
    check: Check
    type: str = ""
    note: str = ""
    #: The first of the extensions that share what is written: damage is done to that one.
    first: str = ""


SAMPLES: dict[str, Sample] = {}


def sample(extensions: str, check: Check, *, type: str = "", note: str = "") -> Callable[[Write], Write]:
    """Register what writes the samples of some extensions; ``check`` is true of what is loaded."""

    def register(write: Write) -> Write:
        first, *_ = extensions.split()
        for extension in extensions.split():
            assert f".{extension}" not in SAMPLES, extension
            SAMPLES[f".{extension}"] = Sample(write, check, type, note, f".{first}")
        return write

    return register


def text(extensions: str, content: str, check: Check, **more: Any) -> None:
    """Register a sample that is text."""
    sample(extensions, check, **more)(lambda path: path.write_text(content, encoding="utf-8"))


def data(extensions: str, content: bytes, check: Check, **more: Any) -> None:
    """Register a sample that is bytes."""
    sample(extensions, check, **more)(lambda path: path.write_bytes(content))
