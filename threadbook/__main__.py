"""The command ``threadbook``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from threadbook import app
from threadbook.commands import build_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; return its exit status, as :mod:`threadbook.app` lists them."""
    try:
        options = build_parser().parse_args(arguments)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else app.USAGE
    return app.call(options)


if __name__ == "__main__":
    sys.exit(main())
