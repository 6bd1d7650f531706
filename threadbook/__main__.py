"""The command ``threadbook``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from threadbook import app, console, env, kernelspec, run, sessions, status
from threadbook.arguments import OneLineParser, new_parser

_GROUPS = (run, console, sessions, env, kernelspec, status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; return its exit status, as :mod:`threadbook.app` lists them."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else app.USAGE
    return app.call(options.command, options)


def _parser() -> OneLineParser:
    parser = new_parser()
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.register(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
