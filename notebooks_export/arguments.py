"""The options of an export on the command line, for both commands that have them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from notebooks_export.forms import FORMATS, MIN_BYTES

if TYPE_CHECKING:
    from notebooks_export.options import ExportOptions


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Add everything that :func:`export_options` reads."""
    parser.add_argument("--format", choices=FORMATS, default="ipynb", help="the form of the file (default: %(default)s)")
    parser.add_argument(
        "--bundle", action="store_true", help="a zip: the notebook, its data, requirements.txt, a small load_file"
    )
    parser.add_argument(
        "--clean", action="store_true", help="drop failures that a later cell made good, if all else stays the same"
    )
    parser.add_argument("--verify", action="store_true", help="run the notebook in a fresh kernel and tell which cells reproduce")
    parser.add_argument("--title", metavar="TEXT", help="the heading (default: the session's name)")
    parser.add_argument("--max-size", type=_megabytes, metavar="MB", help="leave out figures, outputs and data until it fits")
    parser.add_argument("--no-figures", action="store_true", help="leave out all figures")
    parser.add_argument("--no-outputs", action="store_true", help="leave out all outputs")


def export_options(options: argparse.Namespace) -> ExportOptions:
    """Return what the command line asks for; raises UsageError."""
    from notebooks_export.options import ExportOptions

    return ExportOptions(
        format=options.format,
        title=options.title,
        clean=options.clean,
        bundle=options.bundle,
        verify=options.verify,
        outputs=not options.no_outputs,
        figures=not options.no_figures,
        max_bytes=options.max_size,
    )


def _megabytes(text: str) -> int:
    try:
        size = float(text) * 1e6
    except ValueError:
        size = 0.0
    if not MIN_BYTES <= size <= 1e12:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of megabytes from {MIN_BYTES / 1e6:g} on")
    return int(size)
