"""Sessions as Jupyter notebooks, and notebooks as sessions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from notebooks_export.exporting import Export, export_history, export_session
    from notebooks_export.importing import CellEvent, Imported, cell_lines, import_notebook, read_notebook, run_imported
    from notebooks_export.notebook import to_notebook, write_notebook
    from notebooks_export.options import ExportOptions
    from notebooks_export.verification import CellVerdict, Verification, verify

__all__ = [
    "CellEvent",
    "CellVerdict",
    "Export",
    "ExportOptions",
    "Imported",
    "Verification",
    "cell_lines",
    "export_history",
    "export_session",
    "import_notebook",
    "read_notebook",
    "run_imported",
    "to_notebook",
    "verify",
    "write_notebook",
]

_HOMES = {
    "exporting": ("Export", "export_history", "export_session"),
    "importing": ("CellEvent", "Imported", "cell_lines", "import_notebook", "read_notebook", "run_imported"),
    "notebook": ("to_notebook", "write_notebook"),
    "options": ("ExportOptions",),
    "verification": ("CellVerdict", "Verification", "verify"),
}


def __getattr__(name: str) -> Any:
    """Import on demand: the command line needs the names of its options long before it needs nbformat."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
