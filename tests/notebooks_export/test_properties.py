"""What holds for every history, in every form."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_manager import Settings, UsageError
from kernel_manager.sessions.history import SessionHistory
from notebooks_export import Export, ExportOptions, export_history
from tests.notebooks_export.test_formats import Page
from tests.notebooks_export.test_notebook import histories


def exported(history: SessionHistory, **options: Any) -> Export:
    nowhere = Settings(data_dir=Path("/nonexistent/data"), environments_dir=Path("/nonexistent/environments"))
    return asyncio.run(export_history(history, ExportOptions(**options), nowhere))


@settings(deadline=None, max_examples=40)
@given(histories, st.booleans(), st.booleans(), st.sampled_from([None, 20_000, 60_000]))
def test_every_notebook_is_valid_and_within_its_size(
    history: SessionHistory, outputs: bool, figures: bool, max_bytes: int | None
) -> None:
    try:
        made = exported(history, outputs=outputs, figures=figures, max_bytes=max_bytes)
    except UsageError:
        assert max_bytes is not None
        return
    assert max_bytes is None or len(made.content) <= max_bytes
    nb = nbformat.reads(made.content.decode(), as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(nb)
    json.loads(made.content, parse_constant=pytest.fail)


@settings(deadline=None, max_examples=30)
@given(histories)
def test_every_page_is_harmless_and_every_form_is_utf_8(history: SessionHistory) -> None:
    Page(exported(history, format="html").content.decode()).assert_harmless()
    exported(history, format="md").content.decode()
    exported(history, bundle=True)
    assert "# %%" in exported(history, format="py").content.decode()
