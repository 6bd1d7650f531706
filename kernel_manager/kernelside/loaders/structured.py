"""JSON and JSON lines."""

from __future__ import annotations

import json
import re
from typing import Any

from .exact import restore
from .source import Source, Unreadable

_BLANK = re.compile(r"\s*")
_MAX_LOOSE = 200_000
_LOOSE = re.compile(r"//|/\*|,\s*[}\]]|'")


def load_json(source: Source, **options: Any) -> Any:
    """The Python objects. Options are those of ``json.loads``. A ``.json`` that holds JSON lines gives their DataFrame."""
    text = _text(source)
    try:
        return json.loads(text, **options)
    except json.JSONDecodeError as exc:
        if exc.msg == "Extra data" and looks_like_json_lines(text):
            source.note("it holds one JSON object per line: opened as JSON lines, a DataFrame")
            return _frame(_records(text))
        content = _anyhow(source, text, exc)
        if content is None:
            raise Unreadable(_position(exc)) from exc
        return content
    except RecursionError as exc:
        raise Unreadable("it is nested too deeply") from exc


def _anyhow(source: Source, text: str, exc: json.JSONDecodeError) -> Any:
    """What is near to JSON: several documents one after the other, or JSON as people write it; None if it is neither."""
    if exc.msg == "Extra data":
        documents = _documents(text)
        if documents:
            source.note(f"it holds {len(documents)} JSON documents one after the other: this is the list of them")
        return documents
    if len(text) > _MAX_LOOSE or not _LOOSE.search(text):
        return None
    try:
        import json5

        content = json5.loads(text)
    except (ImportError, ValueError, RecursionError):
        return None
    source.note("it is no strict JSON (comments, commas or quotes): it was read as JSON5")
    return content


def _documents(text: str) -> list[Any] | None:
    decoder, documents, at = json.JSONDecoder(), [], 0
    while at < len(text):
        try:
            document, at = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            return None
        if not isinstance(document, (dict, list)):
            return None
        documents.append(document)
        at += len(_BLANK.findall(text, at)[0])
    return documents


def load_json_table(source: Source, **options: Any) -> Any:
    """A DataFrame: one row for each object, nested objects as ``outer.inner``. Options are those of ``pandas.json_normalize``.

    An object whose values are lists of one length is taken for a table by columns.
    """
    import pandas as pd

    content = load_json(source)
    if isinstance(content, pd.DataFrame):
        return content
    if isinstance(content, dict) and _is_by_columns(content) and not options:
        return pd.DataFrame(content)
    if isinstance(content, list) and not all(isinstance(item, dict) for item in content):
        return pd.DataFrame(content)
    return pd.json_normalize(content, **options)


def load_json_lines(source: Source, **options: Any) -> Any:
    """A DataFrame, one row for each line. Options are those of ``pandas.read_json``."""
    text = _text(source)
    if options:
        return _read_json(text, options)
    return _frame(_records(text))


def looks_like_json_lines(text: str) -> bool:
    """Whether the first two lines with something on them are JSON objects or arrays, each whole on its line."""
    lines = [line for line in text[:65536].split("\n")[:50] if line.strip()][:2]
    return len(lines) == 2 and all(line.lstrip()[:1] in "{[" and is_json(line) for line in lines)


def is_json(text: str) -> bool:
    """Whether ``text`` is one JSON document."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _text(source: Source) -> str:
    text = source.text()
    if not text.strip():
        raise Unreadable("it is empty")
    return text


def _records(text: str) -> list[Any]:
    """The objects of the lines. Only a line feed ends a line: JSON strings may hold the other separators as they are."""
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as exc:
            raise Unreadable(f"line {number} is not JSON ({exc.msg} at column {exc.colno})") from exc
        except RecursionError as exc:
            raise Unreadable(f"line {number} is nested too deeply") from exc
    return records


def _frame(records: list[Any]) -> Any:
    # Not pandas.read_json: by default it makes the numbers 123 of "00123" and dates of whatever is called date.
    import pandas as pd

    frame = pd.DataFrame(records)
    return restore(frame, records) if all(isinstance(record, dict) for record in records) else frame


def _read_json(text: str, options: dict[str, Any]) -> Any:
    import io

    import pandas as pd

    return pd.read_json(io.StringIO(text), **{"lines": True, "dtype": False, "precise_float": True, **options})


def _is_by_columns(content: dict[str, Any]) -> bool:
    lengths = {len(value) if isinstance(value, list) else -1 for value in content.values()}
    return len(lengths) == 1 and -1 not in lengths


def _position(exc: json.JSONDecodeError) -> str:
    return f"it is not JSON from line {exc.lineno}, column {exc.colno} on ({exc.msg})"
