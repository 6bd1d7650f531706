"""``%pip install`` and ``!pip install``: nothing is run; the service has read the line before, and this says what came of it."""

from __future__ import annotations

import re
import shlex
from importlib import metadata

_COMMAND = re.compile(
    r"\s*(?:(?:\S*python[\d.]*|'[^']*python[\d.]*')\s+-m\s+)?(?:(?:uv\s+)?pip[\d.]*|conda|mamba)\s+install\b"
    r"(?P<arguments>.*?)(?:(?:&&|;)(?P<rest>.*))?",
    re.DOTALL,
)
#: Options whose value is the next word.
_WITH_VALUE = frozenset(
    ("-i", "--index-url", "--extra-index-url", "--index", "--default-index", "-f", "--find-links", "-r", "--requirement")
) | frozenset(("-c", "--constraint", "-e", "--editable", "-t", "--target", "--prefix", "--root", "--proxy", "--trusted-host"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HINT = "only approved packages can be, and the service installs them before the cell runs"


class PackageNotInstalledError(ModuleNotFoundError):
    """A line asked for a package that is not there."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of the way through our own code."""
        return [f"{type(self).__name__}: {self}"]


def split_pip_line(command: str) -> tuple[str, str] | None:
    """The arguments of an installation and the commands after it; None for any other command."""
    match = _COMMAND.fullmatch(command)
    return (match["arguments"], (match["rest"] or "").strip()) if match else None


def report(arguments: str) -> str:
    """A line for each package that is there; raises PackageNotInstalledError if one is not."""
    lines = []
    for name in _names(arguments):
        try:
            lines.append(f"{name} {metadata.version(name)} is installed")
        except (metadata.PackageNotFoundError, ValueError):
            raise PackageNotInstalledError(f"{name} is not installed: {_HINT}", name=name) from None
    return "\n".join(lines) or "nothing to install"


def _names(arguments: str) -> list[str]:
    try:
        words = shlex.split(arguments, comments=True)
    except ValueError:
        words = arguments.split()
    names, waiting = [], iter(words)
    for word in waiting:
        if word in _WITH_VALUE:
            next(waiting, None)
        elif not word.startswith("-") and (match := _NAME.match(word)) is not None:
            names.append(match[0])
    return names
