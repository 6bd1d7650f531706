"""Failures: one friendly line with an id for the person, and the rest under that id in the log."""

from __future__ import annotations

import logging
import secrets

from bot.markdown import verbatim
from kernel_manager.errors import ThreadbookError

logger = logging.getLogger(__name__)


def noted_failure(error: BaseException, where: str) -> str:
    """Write a failure into the log; return the id under which it is there."""
    number = secrets.token_hex(4)
    logger.error("error %s in %s", number, where, exc_info=error)
    return number


def failure_line(error: BaseException, number: str) -> str:
    """Return what to tell a person of a failure."""
    if isinstance(error, ThreadbookError):
        return f"{verbatim(str(error), 1_400)} (error {number})"
    return f"Something went wrong; tell the operator error {number}."
