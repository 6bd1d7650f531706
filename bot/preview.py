"""What a file holds, in a few lines: looked at in a kernel of its own, in its jail, for files are strangers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from bot.markdown import fenced, head, plain, verbatim
from bot.tables import table_of
from kernel_manager import Interpreter
from kernel_manager.errors import ThreadbookError
from notebooks_export.verification import fresh_session

logger = logging.getLogger(__name__)

#: Files of one message that are looked into, and seconds that this may take.
MAX_FILES = 10
TIMEOUT_S = 25.0
_RUN_S = 15.0
_MAX_ANSWER = 200_000
_MAX_TEXT = 400
_MAX_LINES = 6

# Runs in the kernel. What it prints is checked like any other stranger's word.
_LOOK = """\
def _cell(value):
    import datetime
    if isinstance(value, float):
        return format(value, ".6g")
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value)[:40]


def _about(data):
    import sys
    pandas, image, numpy = (sys.modules.get(name) for name in ("pandas", "PIL.Image", "numpy"))
    if pandas is not None and isinstance(data, list) and data and all(isinstance(row, dict) for row in data[:1000]):
        count, data = len(data), pandas.DataFrame(data[:5])
        return {**_about(data), "rows": count}
    if pandas is not None and isinstance(data, pandas.Series):
        data = data.to_frame()
    if pandas is not None and isinstance(data, pandas.DataFrame):
        first = data.iloc[:5, :20]
        head = [str(name)[:40] for name in first.columns]
        rows = [[_cell(value) for value in row] for row in first.itertuples(index=False)]
        return {"kind": "table", "rows": len(data), "columns": len(data.columns), "cells": [head, *rows]}
    if image is not None and isinstance(data, image.Image):
        return {"kind": "picture", "width": data.width, "height": data.height}
    if numpy is not None and isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], numpy.ndarray) and data[1]:
        return {"kind": "sound", "seconds": data[0].shape[0] / int(data[1]), "rate": int(data[1])}
    if isinstance(data, dict) and isinstance(data.get("cells"), list) and "nbformat" in data:
        return {"kind": "notebook", "cells": len(data["cells"])}
    if isinstance(data, dict) and data and len(data) <= 200:
        name = next(iter(data))
        found = _about(data[name])
        if found["kind"] == "table":
            return {**found, "part": str(name)[:40], "parts": len(data)}
    if isinstance(data, str):
        return {"kind": "text", "text": data[:2000], "length": len(data)}
    if isinstance(data, bytes):
        return {"kind": "bytes", "text": data[:48].hex(" "), "length": len(data)}
    return {"kind": "object", "text": repr(data)[:2000]}


def _look(ids):
    import json
    found = {}
    for file_id in ids:
        try:
            found[file_id] = _about(load_file(file_id))
        except Exception as exc:
            found[file_id] = {"kind": "problem", "text": str(exc)[:300]}
    print(json.dumps(found))


_look(%s)
"""


async def previews(interpreter: Interpreter, user_id: str, file_ids: Sequence[str]) -> dict[str, str]:
    """Return Markdown about what files of a user hold, by ``file_id``; nothing about those that cannot be looked into now."""
    try:
        if not file_ids:
            return {}
        # where there is no room for one more kernel, no session of theirs loses its own for a look
        async with asyncio.timeout(TIMEOUT_S), fresh_session(interpreter, user_id, "preview") as session:
            result = await session.execute(_LOOK % ascii(list(file_ids[:MAX_FILES])), timeout=_RUN_S)
    except (ThreadbookError, TimeoutError) as exc:
        logger.warning("files of user %s were not looked into: %s", user_id, exc)
        return {}
    printed = "".join(str(output["text"]) for output in result.outputs if output.get("name") == "stdout")
    return read_answer(printed)


def read_answer(printed: str) -> dict[str, str]:
    """Return the Markdown for each file of what the kernel printed; empty if that is not what it should be."""
    try:
        found = json.loads(printed) if len(printed) <= _MAX_ANSWER else {}
        return {str(file_id): preview_of(about) for file_id, about in found.items()}
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        return {}


def preview_of(about: Mapping[str, Any]) -> str:
    """Return Markdown about one file; raises ValueError, TypeError or KeyError if ``about`` is not as it should be."""
    match about["kind"]:
        case "table":
            cells = [[plain(str(cell)) for cell in row] for row in about["cells"]]
            size = f"{int(about['rows']):,} rows × {int(about['columns']):,} columns"
            part = f" in {verbatim(str(about['part']), 60)}, one of {int(about['parts'])}" if about.get("parts", 1) > 1 else ""
            return f"-# {size}{part}\n{fenced(table_of(cells, drawn=False).text)}"
        case "picture":
            return f"-# a picture of {int(about['width']):,} × {int(about['height']):,} pixels"
        case "sound":
            return f"-# {float(about['seconds']):,.1f} s of sound, {int(about['rate']):,} samples a second"
        case "notebook":
            return f"-# a notebook of {int(about['cells']):,} cells"
        case "bytes":
            return f"-# {int(about['length']):,} bytes of no known kind\n{_beginning(str(about['text']))}"
        case "text":
            return f"-# {int(about['length']):,} characters\n{_beginning(str(about['text']))}"
        case "problem":
            return f"-# ⚠️ {verbatim(str(about['text']), 300)}"
        case _:
            return _beginning(str(about["text"]))


def _beginning(text: str) -> str:
    lines = plain(text).strip("\n").split("\n")
    shown = head("\n".join(lines[:_MAX_LINES]), _MAX_TEXT)
    return fenced(shown if shown == "\n".join(lines) else f"{shown}…") if shown.strip() else ""
