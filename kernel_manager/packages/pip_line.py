"""Lines such as ``%pip install seaborn``: what they ask for. Pure.

Nothing runs pip. What is asked for is read here and installed by the service, and the kernel says what came of it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_MAX_LINE = 4_000
_MAX_REQUIREMENTS = 50
_COMMAND = re.compile(
    r"\s*[%!]{0,2}\s*"
    r"(?:(?:\S*python[\d.]*|\{sys\.executable\}|[\"']\{sys\.executable\}[\"'])\s+-m\s+)?"
    r"(?:(?:uv\s+)?pip[\d.]*|conda|mamba)\s+install\b(?P<arguments>.*)",
    re.DOTALL,
)
#: Options that change nothing about what is asked for.
_HARMLESS = frozenset(
    ("-U", "--upgrade", "-q", "-qq", "-qqq", "--quiet", "-y", "--yes", "-v", "--verbose", "--user", "--system", "--no-cache-dir")
) | frozenset(("--no-input", "--disable-pip-version-check", "--prefer-binary", "--force-reinstall", "--break-system-packages"))
#: Options whose value is the next word.
_WITH_VALUE = frozenset(
    ("-i", "--index-url", "--extra-index-url", "--index", "--default-index", "-f", "--find-links", "-r", "--requirement")
) | frozenset(("-c", "--constraint", "-e", "--editable", "-t", "--target", "--prefix", "--root", "--proxy", "--trusted-host"))


@dataclass(frozen=True, slots=True)
class PipLine:
    """``wanted`` are requirements as written; ``refused`` are options and the like that are not followed."""

    wanted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def read_pip_line(line: str) -> PipLine | None:
    """What a line asks for; None if it does not ask for an installation."""
    match = _COMMAND.fullmatch(line) if len(line) <= _MAX_LINE else None
    if match is None:
        return None
    arguments = re.split(r"&&|\|\||[;|]", match["arguments"])[0]
    try:
        words = shlex.split(arguments, comments=True)
    except ValueError:
        return PipLine(refused=(arguments.strip()[:80],))
    wanted, refused = [], []
    waiting = iter(words)
    for word in waiting:
        if word in _HARMLESS:
            continue
        if word.startswith("-"):
            refused.append(f"{word} {next(waiting, '')}".strip() if word in _WITH_VALUE else word)
        elif word:
            wanted.append(word)
    return PipLine(tuple(wanted[:_MAX_REQUIREMENTS]), tuple(item[:80] for item in refused[:_MAX_REQUIREMENTS]))
