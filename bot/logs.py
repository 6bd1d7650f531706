"""The bot's log: lines for people or JSON for machines, each with what it is about: user, session, turn."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

#: What the code that runs now works on; every line that it logs has these fields.
_about: ContextVar[Mapping[str, Any] | None] = ContextVar("about", default=None)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
#: These tell every connection and request; what matters of it is a warning.
_QUIET = ("discord", "aiohttp.access", "asyncio", "httpx2", "httpcore2", "openai")


@contextlib.contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Have these fields in every line that is logged in the context, by tasks that are made in it, too."""
    before = _about.set({**(_about.get() or {}), **fields})
    try:
        yield
    finally:
        _about.reset(before)


def set_up(kind: Literal["text", "json"], level: str) -> None:
    """Write the log of this process to stderr, in place of what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else Lines())
    handler.addFilter(_add_fields)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.getLogger("discord.client").addFilter(_is_not_about_voice)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says besides its message: the ``extra`` of the call, and what it is about."""
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _is_not_about_voice(record: logging.LogRecord) -> bool:
    return "voice will NOT be supported" not in str(record.msg)


def _add_fields(record: logging.LogRecord) -> bool:
    for name, value in (_about.get() or {}).items():
        record.__dict__.setdefault(name, value)
    return True


class Lines(logging.Formatter):
    """``TIME LEVEL LOGGER: MESSAGE field=value …``; what came from outside cannot begin a line of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Format all but the traceback."""
        line = super().formatMessage(record)
        line = " ".join([line, *(f"{name}={_plain(value)}" for name, value in fields_of(record).items())])
        return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), line)


class JsonLines(logging.Formatter):
    """One object a line: ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message``, ``error`` (a traceback), fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Format all of it."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: _plain(value) for name, value in fields_of(record).items()},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
