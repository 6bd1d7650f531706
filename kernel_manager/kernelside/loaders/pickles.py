"""Pickled Python objects. Opening one runs code of whoever made it, with the rights of the kernel."""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

from .source import Source, Unreadable


def load_pickle(source: Source, **options: Any) -> Any:
    """What was pickled; of several pickles in sequence a list. Options are those of ``pickle.load``."""
    data = source.read()
    if b"joblib" in data[:200]:
        # What joblib dumps begins as a pickle does and has arrays between its instructions.
        return load_joblib(source, **options)
    _check(data)
    stream, objects = io.BytesIO(data), []
    while stream.tell() < len(data):
        objects.append(_load(stream, options))
    return objects[0] if len(objects) == 1 else objects


def load_joblib(source: Source, **options: Any) -> Any:
    """What was dumped. Options are those of ``joblib.load``."""
    import joblib

    return joblib.load(io.BytesIO(source.read()), **options)


def _load(stream: io.BytesIO, options: dict[str, Any]) -> Any:
    try:
        return pickle.load(stream, **options)  # noqa: S301  (that is what was asked for)
    except ModuleNotFoundError:
        raise
    except (AttributeError, ImportError) as exc:
        raise Unreadable(
            f"it holds an object whose class is not here ({exc}); define or import it, then load the file again"
        ) from exc


def _check(data: bytes) -> None:
    """Read all instructions once without following them: a damaged pickle does nothing before it is refused."""
    stream = io.BytesIO(data)
    try:
        while stream.tell() < len(data):
            for _ in pickletools.genops(stream):
                pass
    except (ValueError, IndexError, UnicodeDecodeError, OverflowError) as exc:
        raise Unreadable(f"it is no whole pickle: {exc}") from exc
