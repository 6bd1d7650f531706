"""Sessions exported from real kernels, verified in fresh ones, taken elsewhere, and brought back."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from kernel_manager import Interpreter, LimitError, Session, Settings, UsageError, open_interpreter
from kernel_manager.sessions.history import Said
from notebooks_export import ExportOptions, export_session, import_notebook, run_imported
from notebooks_export.comparison import comparable, picture_pairs, same
from notebooks_export.notebook import notebook_bytes, to_notebook
from notebooks_export.pictures import show_the_same
from tests.integration.elsewhere import code_cells, read_valid
from tests.integration.following import Follower
from tests.integration.support import value

SALES = "region;amount\nNorth;1,5\nSouth;2,25\n"
FIGURE = "import matplotlib.pyplot as plt\ndf.plot(x='region', y='amount', kind='bar')\nplt.show()"


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    path = tmp_path / "sales.csv"
    path.write_text(SALES, encoding="utf-8")
    return path


async def worked_in(session: Session, sales: Path) -> None:
    """A conversation, a CSV, a figure, an error, a question, a password."""
    session.say("user", "Ann", "What is in *sales.csv*?")
    await session.execute("df = load_file('sales.csv')\ndf", files=[sales])
    await session.execute(FIGURE)
    await session.execute("import openpyxl\ndf.to_excel('out.xlsx')\nopenpyxl.load_workbook('out.xlsx').active.max_row")
    await session.execute("df['price']")
    await Follower(session, "print('hello', input('name? '))", answer=lambda prompt: "Ada").result()
    session.say("assistant", "Threadbook", "Two regions; **South** is ahead.")


async def test_a_session_reproduces_in_a_fresh_kernel_and_leaves_no_other_session(
    interpreter: Interpreter, session: Session, sales: Path
) -> None:
    await worked_in(session, sales)
    made = await export_session(interpreter, session, ExportOptions(verify=True))
    assert made.verification is not None
    assert [(cell.verdict, cell.why, cell.diff) for cell in made.verification.cells if cell.verdict != "same"] == []
    assert made.verification.sentence == "All cells reproduce."
    nb = read_valid(made.content)
    assert nb.metadata.threadbook.verification.same == 5
    assert "Run again in a fresh kernel: All cells reproduce." in nb.cells[0].source
    assert {info.session_id for info in await interpreter.sessions() if info.user_id == session.user_id} == {session.session_id}


async def test_cells_that_cannot_reproduce_are_told_with_the_reason(interpreter: Interpreter, session: Session) -> None:
    for code in (
        "import datetime\nprint(datetime.datetime.now())",
        "object(), id(object)",
        "state = 'kept'",
        "import pathlib\nprint(pathlib.Path('once').exists()); _ = pathlib.Path('/tmp').stat()",
        "print('a', 'b')\nimport time; time.sleep(0)",
        "%time sum(range(10))",
    ):
        await session.execute(code)
    await Follower(session, "import getpass\nlen(getpass.getpass())", answer=lambda prompt: "never kept").result()
    made = await export_session(interpreter, session, ExportOptions(verify=True))
    assert made.verification is not None
    verdicts = {cell.number: (cell.verdict, cell.why) for cell in made.verification.cells if cell.verdict != "same"}
    assert verdicts == {
        1: ("not repeatable", "uses the current time"),
        7: ("failed", "asks for a password, which is never kept"),
    }
    told = "5 of 7 cells reproduce; cell 1 uses the current time; cell 7 asks for a password, which is never kept."
    assert made.verification.sentence == told
    assert made.verification.cells[0].diff.startswith("--- session\n+++ fresh run\n")
    assert b"never kept" not in made.content.replace(b"which is never kept", b"")


async def test_a_cell_that_depends_on_what_is_gone_is_different_or_fails(interpreter: Interpreter, session: Session) -> None:
    (session.workspace / "there.txt").write_text("x")
    await session.execute("import os\nos.listdir()")
    await session.execute("print(open('the' + 're.txt').read())")
    made = await export_session(interpreter, session, ExportOptions(verify=True))
    assert made.verification is not None
    assert [cell.verdict for cell in made.verification.cells] == ["different", "failed"]
    assert "FileNotFoundError" in made.verification.cells[1].why
    assert "-['there.txt']" in made.verification.cells[0].diff


async def test_cells_that_were_stopped_are_not_run_again(interpreter: Interpreter, session: Session) -> None:
    await session.execute("import time\nwhile True: time.sleep(0.01)", timeout=0.3)
    await session.execute("1 + 1")
    made = await export_session(interpreter, session, ExportOptions(verify=True))
    assert made.verification is not None
    assert [cell.verdict for cell in made.verification.cells] == ["skipped", "same"]


async def test_an_export_ends_no_kernel_of_the_user(settings: Settings, sales: Path) -> None:
    async with open_interpreter(settings.model_copy(update={"max_kernels_per_user": 1}), housekeeping=False) as interpreter:
        session = await interpreter.session("tight", "one")
        await session.execute("df = load_file('sales.csv')", files=[sales])
        made = await export_session(interpreter, session, ExportOptions(bundle=True))
        with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
            assert any(name.endswith("loaders/geospatial.py") for name in archive.namelist())
        with pytest.raises(LimitError, match="stop one of yours"):
            await export_session(interpreter, session, ExportOptions(verify=True))
        assert value(await session.execute("len(df)")) == "2"
        await session.stop()


async def test_clean_drops_failures_only_if_all_else_stays_the_same(interpreter: Interpreter, session: Session) -> None:
    await session.execute("total = sum([1, 2, 3]\nprint(total)")
    await session.execute("total = sum([1, 2, 3])\nprint(total)")
    made = await export_session(interpreter, session, ExportOptions(clean=True))
    assert [cell.execution_count for cell in code_cells(read_valid(made.content))] == [2]
    assert made.notes == ("Dropped: 1 cell that later ones made superfluous.",)
    await session.execute("count = 1\nprint(count, undefined_name)")
    await session.execute("print(count)\nprint(count, 'well')")
    kept = await export_session(interpreter, session, ExportOptions(clean=True))
    assert [cell.execution_count for cell in code_cells(read_valid(kept.content))] == [2, 3, 4]
    assert kept.notes == (
        "Dropped: 1 cell that later ones made superfluous.",
        "Kept: 1 more superseded cell, without which others would show something else.",
    )


async def test_pictures_are_compared_by_what_they_show(session: Session, interpreter: Interpreter) -> None:
    draw = "import matplotlib.pyplot as plt\nplt.plot({points}, linewidth={width})\nplt.show()"
    outputs = [
        comparable((await session.execute(draw.format(points=points, width=width))).outputs)
        for points, width in (("[1, 2, 3]", "1.5"), ("[1, 2, 3]", "1.52"), ("[3, 2, 1]", "1.5"))
    ]
    pairs = [*picture_pairs(outputs[0], outputs[1]), *picture_pairs(outputs[0], outputs[2])]
    assert len(pairs) == 2
    assert await show_the_same(session, pairs) == [True, False]
    assert same(outputs[0], outputs[1], frozenset(pairs[:1]))
    assert not same(outputs[0], outputs[2], frozenset(pairs[:1]))


async def test_a_notebook_comes_back_as_a_session_and_goes_out_the_same(
    interpreter: Interpreter, session: Session, sales: Path
) -> None:
    await worked_in(session, sales)
    before = to_notebook(session.read_history())
    back, imported = await import_notebook(interpreter, "somebody-else", notebook_bytes(before), "x.ipynb")
    assert back.session_id == session.session_id
    assert imported.notes == ()
    assert without_dates(to_notebook(back.read_history())) == without_dates(before)
    assert not back.has_kernel


def without_dates(nb: NotebookNode) -> NotebookNode:
    bare = read_valid(notebook_bytes(nb))
    for cell in bare.cells:
        cell.metadata.pop("execution", None)
        for name in ("started_at", "said_at"):
            cell.metadata.threadbook.pop(name, None)
    bare.cells[0].source = bare.cells[0].source.partition(", begun")[0]
    return bare


async def test_an_imported_notebook_runs_up_to_a_cell_and_then_to_its_end(interpreter: Interpreter, session: Session) -> None:
    nb = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[
            nbformat.v4.new_markdown_cell("# About\n\nThree steps."),  # type: ignore[no-untyped-call]
            *(nbformat.v4.new_code_cell(code) for code in ("a = 20", "a += 1\na", "a * 2")),  # type: ignore[no-untyped-call]
        ]
    )
    made, imported = await import_notebook(interpreter, session.user_id, notebook_bytes(nb), "three steps.ipynb")
    assert (made.session_id, [cell.code for cell in imported.cells]) == ("three steps", ["a = 20", "a += 1\na", "a * 2"])
    assert made.read_history().entries[0] == Said("note", "three steps.ipynb", "# About\n\nThree steps.", imported=True)
    assert [found.number async for found in run_imported(made, up_to=2)][-1] == 2
    assert [cell.status for cell in made.read_history().cells] == ["ok", "ok", None]
    assert {found.number async for found in run_imported(made)} == {3}
    cells = made.read_history().cells
    assert [cell.cell_id for cell in cells] == [cell.id for cell in nb.cells[1:]]
    assert cells[2].outputs[0]["data"]["text/plain"] == "42"
    with pytest.raises(UsageError, match="no cell 4; the session has 3"):
        await anext(run_imported(made, up_to=4))
    with pytest.raises(UsageError, match="already"):
        await import_notebook(interpreter, session.user_id, notebook_bytes(nb), "x.ipynb", "three steps")
    other, _ = await import_notebook(interpreter, session.user_id, notebook_bytes(nb), "three steps.ipynb")
    assert other.session_id == "three steps-2"
    await made.stop()


async def test_a_cell_that_fails_ends_the_run_of_an_imported_notebook(interpreter: Interpreter, session: Session) -> None:
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in ("1/0", "2")])  # type: ignore[no-untyped-call]
    made, _ = await import_notebook(interpreter, session.user_id, notebook_bytes(nb), "fails.ipynb")
    assert {found.number async for found in run_imported(made)} == {1}
    assert [cell.status for cell in made.read_history().cells] == ["error", None]
    await made.stop()


async def test_a_removed_session_is_gone_with_its_kernel(interpreter: Interpreter, session: Session) -> None:
    doomed = await interpreter.session(session.user_id, "doomed")
    await doomed.execute("import os; os.makedirs('deep/er'); open('deep/er/x', 'w').close()")
    folder = doomed.folder
    await interpreter.remove_session(session.user_id, "doomed")
    assert not folder.exists()
    with pytest.raises(UsageError, match="no session 'doomed'"):
        await interpreter.remove_session(session.user_id, "doomed")
