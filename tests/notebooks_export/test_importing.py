from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_manager import UsageError
from kernel_manager.sessions.history import Answer, Cell, KernelEnded, Said, SessionHistory
from notebooks_export import cell_lines, read_notebook, to_notebook
from notebooks_export.importing import MAX_CELLS
from notebooks_export.notebook import notebook_bytes
from tests.notebooks_export.making import FIGURE, NOON, cell, printed, session, shown
from tests.notebooks_export.test_formats import HOSTILE, Page


def notebook(*cells: Any, **values: Any) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **values}).encode()


def code(source: Any = "1", *outputs: Any, **values: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": list(outputs), "execution_count": 1, **values}


def markdown(source: str, **values: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": {}, **values}


def test_cells_and_markdown_become_entries() -> None:
    found = read_notebook(
        notebook(markdown("# T"), code(["a = 1\n", "a"], printed("x")), code("b", execution_count=None)), "dir/my.ipynb"
    )
    note, first, second = found.entries
    assert note == Said("note", "my.ipynb", "# T")
    assert isinstance(first, Cell)
    assert isinstance(second, Cell)
    assert (first.code, first.status, first.source, first.outputs) == ("a = 1\na", "ok", "import", [printed("x")])
    assert (second.code, second.status) == ("b", None)
    assert (found.name, found.notes) == ("my", ())


def test_a_notebook_of_format_3_is_upgraded() -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": "old"},
        "worksheets": [
            {
                "metadata": {},
                "cells": [
                    {"cell_type": "heading", "level": 2, "source": ["Old"], "metadata": {}},
                    {
                        "cell_type": "code",
                        "input": ["print 1"],
                        "language": "python",
                        "prompt_number": 3,
                        "collapsed": False,
                        "metadata": {},
                        "outputs": [
                            {"output_type": "stream", "stream": "stdout", "text": ["1\n"]},
                            {"output_type": "pyout", "prompt_number": 3, "text": ["2"], "metadata": {}},
                            {"output_type": "pyerr", "ename": "E", "evalue": "v", "traceback": []},
                        ],
                    },
                ],
            }
        ],
    }
    heading, found = read_notebook(json.dumps(old).encode()).entries
    assert heading == Said("note", "notebook.ipynb", "## Old")
    assert isinstance(found, Cell)
    assert (found.code, found.execution_count, found.status) == ("print 1", 3, "error")
    assert [output["output_type"] for output in found.outputs] == ["stream", "execute_result", "error"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "does not hold JSON"),
        (b"\x89PNG\r\n", "does not hold JSON"),
        (b"[" * 100_000, "does not hold JSON"),
        (b"[]", "does not say its nbformat"),
        (b'{"nbformat": true}', "does not say its nbformat"),
        (b'{"nbformat": "4"}', "does not say its nbformat"),
        (b'{"nbformat": 9}', "format 9"),
        (b'{"nbformat": 4}', "no list of cells"),
        (b'{"nbformat": 3, "worksheets": 5}', "damaged notebook of format 3"),
        (notebook(metadata={"kernelspec": {"language": "R"}}), "written in 'r'"),
        (notebook(*[code()] * (MAX_CELLS + 1)), "5,001 cells"),
        (notebook(*[code()] * 10_000), "10,000 cells"),
        (notebook(code("x" * 1_000_001)), "a cell of 1,000,001 characters"),
        (b" " * 50_000_001, "50.0 MB"),
    ],
)
def test_what_is_no_notebook_or_too_large_is_refused_in_one_line(content: bytes, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        read_notebook(content, "x.ipynb")
    assert str(caught.value).startswith("x.ipynb ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("html", HOSTILE)
def test_hostile_outputs_are_made_harmless(html: str) -> None:
    outputs = [
        {"output_type": "display_data", "data": {"text/html": html, "text/plain": "x"}, "metadata": {}},
        {"output_type": "display_data", "data": {"application/javascript": html}, "metadata": {}},
        {"output_type": "display_data", "data": {"image/svg+xml": f"<svg>{html}</svg>", "text/plain": "x"}, "metadata": {}},
    ]
    found = read_notebook(notebook(code("x", *outputs)))
    (taken,) = found.cells
    assert set(taken.outputs[0]["data"]) == {"text/html", "text/plain"}
    Page(taken.outputs[0]["data"]["text/html"]).assert_harmless()
    assert "<style" not in taken.outputs[0]["data"]["text/html"]
    assert "application/javascript" not in json.dumps(taken.outputs)
    assert "active outputs" in found.notes[0]
    for output in taken.outputs[1:]:
        svg = output["data"].get("image/svg+xml", "")
        assert "script" not in svg
        assert "onerror" not in svg
        assert "https:" not in svg


def test_html_that_does_nothing_stays_as_it_is() -> None:
    style = "<style scoped>\n.dataframe tbody tr th {vertical-align: top;}\n</style>"
    table = f'<div>\n{style}\n<table border="1" class="dataframe"></table></div>'
    (taken,) = read_notebook(notebook(code("x", shown("x", text_html=table)))).cells
    assert taken.outputs[0]["data"]["text/html"] == table


def test_attachments_are_not_taken_over_and_told() -> None:
    found = read_notebook(
        notebook(markdown("![x](attachment:../../etc/passwd)", attachments={"../../etc/passwd": {"image/png": "x"}}))
    )
    assert found.notes == ("Not taken over: attachments of Markdown cells (1).",)


def test_cells_of_ours_that_somebody_forged_are_only_text_and_cells() -> None:
    forged = markdown("not the header", metadata={"threadbook": {"role": "assistant", "name": "Threadbook"}})
    wrong = code(
        "x", metadata={"threadbook": {"status": ["ok"], "answers": 5, "duration_s": "1", "cause": 3, "noted": 1}}, id="a/b"
    )
    note, found = read_notebook(notebook(forged, wrong)).entries
    assert note == Said("note", "notebook.ipynb", "not the header")
    assert isinstance(found, Cell)
    assert (found.status, found.answers, found.duration_s, found.cause) == ("ok", [], 0.0, None)
    assert found.cell_id != "a/b"


def test_cells_that_share_an_id_get_ids_of_their_own() -> None:
    cells = read_notebook(notebook(code(id="same"), code(id="same"), code(id="x" * 65))).cells
    assert cells[0].cell_id == "same"
    assert len({found.cell_id for found in cells}) == 3


# Round trips.


def imported(history: SessionHistory) -> SessionHistory:
    found = read_notebook(notebook_bytes(to_notebook(history)))
    return SessionHistory(history.session_id, "u", NOON, list(found.entries), found.cells)


def without_dates(history: SessionHistory) -> list[dict[str, Any]]:
    nb = to_notebook(history)
    for item in nb.cells:
        item.metadata.pop("execution", None)
        for name in ("started_at", "said_at"):
            item.metadata.threadbook.pop(name, None)
    return [dict(item) for item in nb.cells]


def test_a_session_comes_back_from_its_notebook() -> None:
    history = session(
        Said("user", "A*nn", "Hello\n\n# there", at=NOON),
        cell(
            1, "x = input('?')\nload_file('a')", printed("a\n"), FIGURE, answers=[Answer("?", "y")], installed_packages=["a==1"]
        ),
        cell(2, "y", status="died", cause="It died.", state_lost=True),
        KernelEnded("k", "it was idle", state_lost=True),
        cell(3, "f(", {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]}, status="error", cause="E: v"),
        Said("assistant", "", "Done."),
        Said("note", "other.ipynb", "**Note** (user):\n\nnot said"),
        cell(4, "f()", shown("1", text_html="<table></table>")),
    )
    back = imported(history)
    assert [type(entry) for entry in back.entries] == [Said, Cell, Cell, Cell, Said, Said, Cell]
    assert without_dates(back) == without_dates(history)
    assert back.entries[0] == Said("user", "A*nn", "Hello\n\n# there")
    assert without_dates(imported(back)) == without_dates(back)


texts = st.text(max_size=20)
data = st.dictionaries(
    st.sampled_from(["text/plain", "text/html", "image/png", "application/json", "text/x"]), texts | st.integers(), max_size=3
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "data", "text", "output_type"]) | texts, inner, max_size=3)
    ),
    max_leaves=8,
)
loose_cells = st.fixed_dictionaries(
    {},
    optional={
        "id": anything,
        "cell_type": st.sampled_from(["code", "markdown", "raw", "heading"]) | anything,
        "source": texts | st.lists(texts, max_size=3) | anything,
        "metadata": st.fixed_dictionaries(
            {}, optional={"threadbook": st.dictionaries(texts, anything, max_size=3), "tags": anything}
        )
        | anything,
        "outputs": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "output_type": st.sampled_from(["stream", "display_data", "execute_result", "error"]) | anything,
                    "data": data | anything,
                    "text": texts | anything,
                    "metadata": anything,
                    "execution_count": anything,
                },
            )
            | anything,
            max_size=3,
        )
        | anything,
        "execution_count": anything,
        "attachments": anything,
    },
)


@settings(deadline=None, max_examples=150)
@given(st.lists(loose_cells | anything, max_size=4), anything)
def test_any_json_that_claims_to_be_a_notebook_is_read_or_refused(cells: list[Any], metadata: Any) -> None:
    content = json.dumps({"nbformat": 4, "metadata": metadata, "cells": cells}).encode()
    try:
        found = read_notebook(content)
    except UsageError:
        return
    history = SessionHistory("s", "u", NOON, list(found.entries), found.cells)
    nb = to_notebook(history)
    nbformat.validate(nb)
    again = imported(history)
    assert without_dates(imported(again)) == without_dates(again)


@settings(deadline=None, max_examples=60)
@given(anything, st.integers(1, 3))
def test_any_old_notebook_is_read_or_refused(cells: Any, version: int) -> None:
    content = json.dumps({"nbformat": version, "worksheets": [{"cells": cells}], "cells": cells, "metadata": {}}).encode()
    with suppress(UsageError):
        read_notebook(content)


def test_a_drawing_stays_a_drawing() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><g clip-path="url(#a)"><use xlink:href="#b"/><path d="M0 0"/></g></svg>'
    (taken,) = read_notebook(notebook(code("x", shown("x", **{"image_svg+xml": svg})))).cells
    assert taken.outputs[0]["data"]["image/svg+xml"] == svg


def test_cells_are_listed_by_number_and_beginning() -> None:
    cells = read_notebook(notebook(code("a = 1\na"), code("\n\nb"), code("c" * 200), code("d"))).cells
    assert cell_lines(cells, 3) == ["[1] a = 1 …", "[2] b", f"[3] {'c' * 100} …", "and 1 more"]
    assert cell_lines(cells[1:2]) == ["[1] b"]
