"""A page as PDF, by whatever on this machine can print one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from kernel_manager.errors import ServiceError, UsageError

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
_OTHERS = ("wkhtmltopdf", "weasyprint")
_TIMEOUT_S = 120.0


def find_printer() -> Path | None:
    """The program that would print, or None if this machine has none."""
    found = (shutil.which(name) for name in (*_BROWSERS, *_OTHERS))
    return next((Path(path) for path in found if path), None)


async def to_pdf(page: str, printer: Path | None = None) -> bytes:
    """The PDF of a self-contained page. Raises UsageError if nothing here can print, ServiceError if printing fails."""
    printer = printer or find_printer()
    if printer is None:
        raise UsageError("no program here prints PDF; install Chromium, or export HTML (--format html) and print that")
    with tempfile.TemporaryDirectory(prefix="threadbook-pdf-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "page.html").write_text(page, encoding="utf-8", errors="replace")
        said = await _run(_command(printer, folder), folder)
        with suppress(OSError):
            content = (folder / "page.pdf").read_bytes()
            if content.startswith(b"%PDF"):
                return content
    raise ServiceError(f"{printer.name} printed no PDF ({said}); export HTML and print that")


def _command(printer: Path, folder: Path) -> list[str]:
    page, target = folder / "page.html", folder / "page.pdf"
    if printer.name == "wkhtmltopdf":
        return [str(printer), "--quiet", "--disable-javascript", "--disable-local-file-access", str(page), str(target)]
    if printer.name not in _BROWSERS:
        return [str(printer), str(page), str(target)]
    # Chromium has no sandbox for root; the page has no script, and its policy lets it load nothing.
    rootless = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [
        str(printer),
        "--headless",
        *rootless,
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-extensions",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        "--no-pdf-header-footer",
        f"--print-to-pdf={target}",
        page.as_uri(),
    ]


async def _run(command: list[str], folder: Path) -> str:
    """Run to the end; return what is known if it did not work."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return f"exit status {await process.wait()}"
    except TimeoutError:
        return f"it took longer than {_TIMEOUT_S:g} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
