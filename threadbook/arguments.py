"""How commands are declared: parsers whose errors take one line, and the options that several commands share."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NoReturn


class _Help(argparse.RawDescriptionHelpFormatter):
    """Leaves room for the longest name of a command, which argparse forgets to indent when it measures."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if action.nargs == argparse.PARSER:
            self._action_max_length += self._indent_increment


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors take one line and name the help."""

    def error(self, message: str) -> NoReturn:
        """End the process with status 2 and one line."""
        line = " ".join(message.split()).replace("the following arguments are required", "missing")
        self.exit(2, f"{self.prog}: {line}; see `{self.prog} --help`\n")


Commands = argparse._SubParsersAction  # the only name that argparse has for it


class _Version(argparse.Action):
    """Looks the version up when it is asked for: finding it takes longer than parsing."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        print(f"threadbook {installed_version()}")
        parser.exit()


def installed_version() -> str:
    """Return the version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("threadbook")
    except PackageNotFoundError:
        return "(not installed)"


def new_parser() -> OneLineParser:
    """Return the parser of the whole command, without commands."""
    parser = OneLineParser(
        prog="threadbook",
        description="Run Python in persistent Jupyter kernels.",
        epilog="example:\n  threadbook run 'x = 41'\n  threadbook run 'x + 1'",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    return parser


def add_command(
    commands: Commands[OneLineParser], name: str, function: str, *, about: str, examples: list[str], more: str = ""
) -> OneLineParser:
    """Add a command that ``function`` (``module:name``) carries out.

    ``about`` is a sentence, ``examples`` are command lines, ``more`` is what else a person should know.
    """
    parser = _add_parser(commands, name, about, examples, more)
    parser.set_defaults(function=function)
    return parser


def add_group(commands: Commands[OneLineParser], name: str, *, about: str, examples: list[str]) -> Commands[OneLineParser]:
    """Add a command that has commands of its own, and return where these go."""
    return _add_parser(commands, name, about, examples).add_subparsers(title="commands", metavar="COMMAND", required=True)


def _add_parser(commands: Commands[OneLineParser], name: str, about: str, examples: list[str], more: str = "") -> OneLineParser:
    lines = [f"example{'s' if len(examples) > 1 else ''}:", *(f"  {example}" for example in examples)]
    return commands.add_parser(
        name,
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog="\n".join([*lines, "", more] if more else lines),
        formatter_class=_Help,
        allow_abbrev=False,
    )


def add_session_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--user`` and ``--session``."""
    add_user_option(parser, "whose session")
    parser.add_argument("--session", default="default", metavar="ID", help="which session (default: %(default)s)")


def add_user_option(parser: argparse.ArgumentParser, about: str) -> None:
    """Add ``--user``."""
    parser.add_argument("--user", default="local", metavar="ID", help=f"{about} (default: %(default)s)")


def add_file_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--file``, which may be given several times."""
    parser.add_argument(
        "--file",
        dest="files",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="hand a file to the session; load_file('NAME') opens it there (repeatable)",
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")


def seconds(text: str) -> float:
    """Return a number of seconds given on the command line; for ``type=`` of an argument."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and 86400")
    return value
