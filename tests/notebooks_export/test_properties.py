"""What holds for every history, in every form."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_manager import Settings, UsageError
from kernel_manager.sessions.history import Answer, Cell, Entry, KernelEnded, Said, SessionHistory
from notebooks_export import Export, ExportOptions, export_history, read_notebook, to_notebook
from notebooks_export.notebook import notebook_bytes
from tests.notebooks_export.making import FIGURE, NOON, cell, printed, session, shown
from tests.notebooks_export.test_formats import Page
from tests.notebooks_export.test_notebook import histories

# Histories as kernels and people make them.
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mT\x1b[0m"]}
outputs = st.lists(
    st.builds(printed, words.filter(bool), st.sampled_from(["stdout", "stderr"]))
    | st.builds(shown, words, text_html=st.just("<table><tr><td>1</td></tr></table>"))
    | st.sampled_from([FIGURE, error]),
    max_size=3,
)
codes = st.sampled_from(["x = 1", "load_file('a.csv')", "print(FILES)", "%pip install x", "input('?')", "f("]) | words
ran = st.builds(
    lambda code, outputs, status, **more: cell(1, code, *outputs, status=status, **more),
    codes,
    outputs,
    st.sampled_from(["ok", "error", "timeout", "interrupted", "died"]),
    answers=st.lists(st.builds(Answer, words, words), max_size=2),
    installed_packages=st.lists(st.sampled_from(["plotly==7.1.0", "odd"]), max_size=2),
    cause=st.none() | words.filter(str.strip),
    state_lost=st.booleans(),
)
said = st.builds(Said, st.sampled_from(["user", "assistant"]), words, words.filter(str.strip))
ended = st.builds(KernelEnded, st.just("k"), st.none() | words, state_lost=st.booleans())


@st.composite
def lived(draw: st.DrawFn) -> SessionHistory:
    """A session whose cells have ids of their own."""
    entries: list[Entry] = draw(st.lists(ran | said | ended, max_size=8))
    numbered = [
        dataclasses.replace(entry, cell_id=f"{number:012x}") if isinstance(entry, Cell) else entry
        for number, entry in enumerate(entries)
    ]
    return session(*numbered)


def told(history: SessionHistory) -> list[dict[str, Any]]:
    """The cells of its notebook but for what a history does not keep of another one: when it was."""
    nb = to_notebook(history)
    for item in nb.cells:
        item.metadata.pop("execution", None)
        for name in ("started_at", "said_at"):
            item.metadata.threadbook.pop(name, None)
    return [dict(item) for item in nb.cells]


@settings(deadline=None, max_examples=30)
@given(lived())
def test_every_session_comes_back_from_its_notebook_as_it_was(history: SessionHistory) -> None:
    found = read_notebook(notebook_bytes(to_notebook(history)))
    back = SessionHistory(history.session_id, "u", NOON, list(found.entries), found.cells)
    assert found.notes == ()
    assert told(back) == told(history)


@settings(deadline=None, max_examples=30)
@given(lived(), st.integers(0, 8))
def test_ids_of_cells_stay_when_a_session_goes_on(history: SessionHistory, length: int) -> None:
    before = [
        item.id for item in to_notebook(session(*history.entries[:length])).cells if item.metadata.threadbook.get("part") is None
    ]
    after = [item.id for item in to_notebook(history).cells if item.metadata.threadbook.get("part") is None]
    assert after[: len(before)] == before
    assert len(set(after)) == len(after)


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
