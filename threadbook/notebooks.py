"""``threadbook export`` and ``import``: sessions as notebooks, notebooks as sessions."""

from __future__ import annotations

import argparse
import asyncio

from kernel_manager import Session, UsageError
from kernel_manager.execution.artifacts import shown_name
from notebooks_export.__main__ import lines_about
from notebooks_export.arguments import export_options
from notebooks_export.exporting import export_session
from notebooks_export.importing import MAX_BYTES, cell_lines, ends_the_run, import_notebook, waiting_cells
from notebooks_export.verification import Verification
from threadbook import app
from threadbook.cell import GivenUpError, Manners, run_cell
from threadbook.control_sequences import plain
from threadbook.questions import asker
from threadbook.run import existing_files
from threadbook.terminal import Terminal


async def export(options: argparse.Namespace) -> int:
    """Write the session's export and print its path; what a person should know about it goes to stderr."""
    wanted = export_options(options)
    async with app.open_interpreter() as interpreter:
        session = await interpreter.session(options.user, options.session, create=False)
        made = await export_session(interpreter, session, wanted)
    target = made.write(options.output)
    if made.verification is not None:
        for line in diff_lines(made.verification):
            app.report(line)
    for line in lines_about(made):
        app.report(app.one_line(line))
    print(shown_name(str(target)))
    return app.OK


def diff_lines(verification: Verification) -> list[str]:
    """The differences that a verification found, cell by cell."""
    lines = []
    for cell in verification.cells:
        if cell.diff:
            lines.append(f"cell {cell.number}, {cell.verdict}:")
            lines += [f"  {line}" for line in cell.diff.splitlines()]
    return [plain(line) for line in lines]


async def import_(options: argparse.Namespace) -> int:
    """Make a session of a notebook, show its cells, and run them if asked to."""
    (path,) = existing_files([options.notebook])
    files = existing_files(options.files)
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB; make it smaller")
    async with app.open_interpreter() as interpreter:
        session, imported = await import_notebook(interpreter, options.user, path.read_bytes(), path.name, options.session)
        await session.hand_in(files)
        for line in (*cell_lines(imported.cells), *imported.notes):
            app.report(app.one_line(line))
        print(shown_name(session.session_id), flush=True)
        if options.run or options.up_to is not None:
            return await _run(session, options.up_to, interpreter.settings.interrupt_grace)
    return app.OK


async def _run(session: Session, up_to: int | None, grace: float) -> int:
    """Run imported cells as the console runs typed ones: their questions are asked, Ctrl-C reaches them."""
    from threadbook.figures import FigureFolder
    from threadbook.printing import CellPrinter

    terminal = Terminal()
    printer = CellPrinter(terminal, FigureFolder(session.folder / "figures"), session.session_id, numbered=True)
    manners = Manners(asker(terminal), terminal.line, grace)
    for _, cell in waiting_cells(await asyncio.to_thread(session.read_history), up_to):
        try:
            result = await run_cell(session, cell.code, printer, manners, cell_id=cell.cell_id)
        except GivenUpError:
            return app.INTERRUPTED
        if ends_the_run(cell, result):
            return app.CODE_FAILED
    return app.OK
