"""Sessions as Jupyter notebooks."""

from __future__ import annotations

from notebooks_export.notebook import to_notebook, write_notebook

__all__ = ["to_notebook", "write_notebook"]
