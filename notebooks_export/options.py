"""What an export is asked to be."""

from __future__ import annotations

from dataclasses import dataclass

from kernel_manager.errors import UsageError
from notebooks_export.forms import FORMATS, MIN_BYTES, Format


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How a session is exported.

    ``clean`` drops failures that a later cell made good, as far as the notebook still gives the same without them.
    ``bundle`` makes a zip of notebook, data, requirements and a small ``load_file``. ``verify`` runs the notebook in
    fresh kernels and compares. ``outputs`` and ``figures`` say whether these are in it. ``max_bytes`` is the most that
    the file may have, None for no limit; ``title`` replaces the heading.

    Raises :class:`UsageError` for a combination that cannot be.
    """

    format: Format = "ipynb"
    title: str | None = None
    clean: bool = False
    bundle: bool = False
    verify: bool = False
    outputs: bool = True
    figures: bool = True
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"there is no format {self.format!r}; use one of {', '.join(FORMATS)}")
        if self.bundle and self.format != "ipynb":
            raise UsageError(f"a bundle holds a notebook, not {self.format}; leave out the format or the bundle")
        if self.max_bytes is not None and self.max_bytes < MIN_BYTES:
            raise UsageError(f"{self.max_bytes} bytes are too few for a notebook; allow at least {MIN_BYTES // 1000} kB")

    @property
    def suffix(self) -> str:
        """The ending of the file."""
        return ".zip" if self.bundle else f".{self.format}"
