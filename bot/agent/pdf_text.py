"""Reads the text of a PDF in a process that may not take much: ``python -P pdf_text.py PATH CHARACTERS``."""

from __future__ import annotations

import logging
import resource
import sys

CPU_S = 10
MEMORY = 1 << 30


def main(path: str, limit: int) -> int:
    """Write the text of the first pages to stdout, at most ``limit`` characters; the exit status is 1 if it is no PDF."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.disable()
    left = limit
    try:
        for number, page in enumerate(PdfReader(path).pages, 1):
            text = f"[page {number}]\n{page.extract_text()}\n"[:left]
            sys.stdout.buffer.write(text.encode("utf-8", "replace"))
            sys.stdout.flush()
            left -= len(text)
            if left <= 0:
                break
    except (PyPdfError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
