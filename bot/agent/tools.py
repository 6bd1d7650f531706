"""The tools that a model has, and how the text of a call's arguments is read."""

from __future__ import annotations

import json
from typing import Any

from bot.agent.models.protocol import Tool

MAX_CODE = 200_000

EXECUTE = Tool(
    "execute_python_code",
    "Run Python in the session's persistent IPython kernel and get back what it printed, returned, drew and wrote. "
    "Variables stay from one call to the next. The user sees figures and files by themselves.",
    {
        "type": "object",
        "properties": {"code": {"type": "string", "description": "The Python code of one cell."}},
        "required": ["code"],
        "additionalProperties": False,
    },
)
LIST_FILES = Tool(
    "list_files",
    "List the user's files as they are now: file_id, name, type, size, expiry. load_file(name or file_id) opens one.",
    {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
)
TOOLS = (EXECUTE, LIST_FILES)


class ArgumentsError(Exception):
    """The model has to write the call again; the message tells it how."""


def code_of(arguments: str) -> str:
    """Return the code that a call of ``execute_python_code`` is about. Raises ArgumentsError."""
    value = _parsed(arguments)
    code = value.get("code") if isinstance(value, dict) else None
    if not isinstance(code, str) or not code.strip():
        raise ArgumentsError('the arguments have no code; call execute_python_code with {"code": "…"}')
    if len(code) > MAX_CODE:
        raise ArgumentsError(f"the code has {len(code):,} characters; at most {MAX_CODE:,} can be run at once, so split it")
    try:
        code.encode()
    except UnicodeEncodeError:
        raise ArgumentsError("the code is not valid Unicode; write it again without lone surrogates") from None
    return code


def _parsed(arguments: str) -> Any:
    try:
        # strict=False: small models put raw line breaks into the text of the code
        return json.loads(arguments or "{}", strict=False)
    except (ValueError, RecursionError) as exc:
        raise ArgumentsError(f'the arguments are not valid JSON ({exc}); call execute_python_code with {{"code": "…"}}') from None


def unknown_tool(name: str) -> str:
    """Return what the model is told when it calls a tool that there is not."""
    return f"there is no tool {name[:80]!r}; there are {', '.join(tool.name for tool in TOOLS)}"
