"""A session that sees chosen files only: what its code can reach of them, and of the others."""

from __future__ import annotations

import io
import zipfile

import pytest

from kernel_manager import Interpreter, Session
from kernel_manager.files.selection import FileRef
from notebooks_export import ExportOptions, export_session
from tests.integration.support import printed

pytestmark = pytest.mark.slow

LOOK = "import os; print(sorted(name.partition('-')[2] for name in os.listdir('/files') if '-' in name), sorted(FILES))"


async def given(interpreter: Interpreter, user: str, name: str) -> FileRef:
    added = await interpreter.files.add(user, name, f"of\n{user}\n".encode())
    return FileRef(user, added.file.file_id)


async def test_only_chosen_files_are_there_whoever_they_belong_to(interpreter: Interpreter, session: Session) -> None:
    ours = await given(interpreter, session.user_id, "ours.csv")
    await given(interpreter, session.user_id, "secret.csv")
    theirs = await given(interpreter, f"{session.user_id}-guest", "theirs.csv")
    assert printed(await session.execute(LOOK)) == "['ours.csv', 'secret.csv'] ['ours.csv', 'secret.csv']\n"
    before = (await session.info()).kernel_pid

    await session.select_files([ours, theirs])
    assert printed(await session.execute(LOOK)) == "['ours.csv', 'theirs.csv'] ['ours.csv', 'theirs.csv']\n"
    assert (await session.info()).kernel_pid != before
    assert [file.filename for file in await session.files()] == ["theirs.csv", "ours.csv"]
    said = printed(await session.execute("print(load_file('theirs.csv')['of'][0], load_file('ours.csv')['of'][0])"))
    assert said == f"{session.user_id}-guest {session.user_id}\n"
    assert (await session.execute("load_file('secret.csv')")).status == "error"

    late = await given(interpreter, f"{session.user_id}-guest", "late.csv")
    await session.add_files([late])
    await interpreter.files.remove(f"{session.user_id}-guest", theirs.file_id)
    assert printed(await session.execute(LOOK)) == "['late.csv', 'ours.csv'] ['late.csv', 'ours.csv']\n"

    bundle = await export_session(interpreter, session, ExportOptions(bundle=True))
    names = zipfile.ZipFile(io.BytesIO(bundle.content)).namelist()
    assert not any("secret" in name for name in names)
    assert any("ours.csv" in name for name in names)


async def test_a_file_that_its_owner_removed_is_let_go_by_the_next_clean_up(interpreter: Interpreter, session: Session) -> None:
    theirs = await given(interpreter, f"{session.user_id}-guest", "theirs.csv")
    await session.select_files([theirs])
    (copy,) = (session.folder / "files").glob("*theirs.csv")
    await interpreter.files.remove(theirs.user_id, theirs.file_id)
    assert copy.exists()
    await interpreter.cleanup()
    assert not copy.exists()


async def test_what_code_wrote_can_be_kept_by_somebody_else(interpreter: Interpreter, session: Session) -> None:
    await session.execute("open('out.txt', 'w').write('x')")
    kept = await interpreter.files.keep(session.user_id, session.session_id, "out.txt", owner=f"{session.user_id}-guest")
    assert kept.file.user_id == f"{session.user_id}-guest"
    assert await interpreter.files.list(session.user_id) == []
