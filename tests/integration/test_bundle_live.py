"""A session of everything, taken away as a bundle, and run where nothing of this project is."""

from __future__ import annotations

import contextlib
import gzip
import sqlite3
import zipfile
from pathlib import Path

import pytest

from kernel_manager import Interpreter, Session, Settings
from kernel_manager.packages.environments import Environment
from notebooks_export import ExportOptions, export_session
from tests.integration.conftest import make_settings
from tests.integration.elsewhere import (
    MODULE,
    PACKAGE,
    VERSION,
    assert_nothing_differs,
    code_cells,
    environment_of,
    offer_package,
    read_valid,
    run_elsewhere,
    unpacked,
)
from tests.integration.following import Follower


@pytest.fixture
def settings(
    shared_folder: Path, kernel_environment: Environment, own_settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings with a package that only this test knows."""
    offer_package(tmp_path, monkeypatch)
    return make_settings(shared_folder, kernel_environment)


@pytest.mark.slow
async def test_a_bundle_runs_in_an_environment_of_its_own_requirements_with_no_cell_differing(
    interpreter: Interpreter, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sales = tmp_path / "sales.csv"
    sales.write_text("region;amount\nNorth;1,5\nSouth;2,25\n", encoding="utf-8")
    session.say("user", "Ann", "What is in *sales.csv*?")
    await session.execute("df = load_file('sales.csv')\ndf", files=[sales])
    await session.execute("import matplotlib.pyplot as plt\ndf.plot(x='region', y='amount', kind='bar')\nplt.show()")
    await session.execute("print(list(FILES))\nlist_files()")
    await session.execute("df['price']")
    installed = await session.execute(f"import {MODULE}\nprint({MODULE}.total(df.amount))")
    assert (installed.status, installed.installed_packages) == ("ok", [f"{PACKAGE}=={VERSION}"])
    await session.execute("import openpyxl\ndf.to_excel('out.xlsx')\nopenpyxl.load_workbook('out.xlsx').active.max_row")
    await Follower(session, "print('hello', input('name? '))", answer=lambda prompt: "Ada").result()
    session.say("assistant", "Threadbook", "Two regions; **South** is ahead.")

    made = await export_session(interpreter, session, ExportOptions(bundle=True, verify=True))
    assert made.verification is not None
    assert made.verification.sentence == "All cells reproduce."
    folder = unpacked(made.content, tmp_path / "bundle")
    assert {"files", "requirements.txt", "threadbook_load_file"} < {path.name for path in folder.iterdir()}
    requirements = (folder / "requirements.txt").read_text().splitlines()
    names = {line.partition("==")[0] for line in requirements}
    assert f"{PACKAGE}=={VERSION}" in requirements
    assert {"ipykernel", "matplotlib", "openpyxl", "pandas"} < names

    nb = read_valid(next(folder.glob("*.ipynb")).read_bytes())
    assert [cell.source for cell in nb.cells if cell.metadata.threadbook.get("role")] == [
        "**Ann** (user):\n\nWhat is in *sales.csv*?",
        "**Threadbook** (assistant):\n\nTwo regions; **South** is ahead.",
    ]
    python = environment_of(folder / "requirements.txt", tmp_path / "venv")
    ran = await run_elsewhere(nb, folder, python, monkeypatch)
    assert len(code_cells(ran)) == 7
    await assert_nothing_differs(nb, ran, session)


MAKE = """
import pandas as pd
from PIL import Image
frame = pd.DataFrame({'n': [1, 2, 3], 's': ['x', 'y', 'z']})
frame.to_excel('book.xlsx', index=False)
frame.to_parquet('frame.parquet')
Image.new('RGB', (4, 2), (1, 2, 3)).save('dot.png')
import joblib
joblib.dump([1, 2], 'list.joblib')
"""
SHOW = """
found = load_file({name!r})
print(type(found).__name__, getattr(found, 'shape', None) or getattr(found, 'size', None) or found)
"""


@pytest.mark.slow
async def test_a_bundle_opens_files_of_many_kinds_with_the_loaders_that_it_has(
    interpreter: Interpreter, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    maker = await interpreter.session(session.user_id, "maker")
    for file in (await maker.execute(MAKE)).files:
        (folder / file.filename).write_bytes(Path(file.path).read_bytes())
    await maker.stop()
    (folder / "notes.txt").write_text("première ligne\n", encoding="utf-8")
    (folder / "mail.eml").write_text("From: ada@example.org\nSubject: Numbers\n\nHello.\n")
    (folder / "settings.toml").write_text("[a]\nb = 1\n")
    (folder / "numbers.csv.gz").write_bytes(gzip.compress(b"a;b\n1,5;2\n"))
    with zipfile.ZipFile(folder / "pack.zip", "w") as archive:
        archive.writestr("inner.csv", "a,b\n1,2\n")
    with contextlib.closing(sqlite3.connect(folder / "base.sqlite")) as base:
        base.executescript("create table t (a, b); insert into t values (1, 2);")
    await session.hand_in(sorted(folder.iterdir()))
    for name in sorted(path.name for path in folder.iterdir()):
        assert (await session.execute(SHOW.format(name=name))).ok, name

    made = await export_session(interpreter, session, ExportOptions(bundle=True))
    unpacked_to = unpacked(made.content, tmp_path / "bundle")
    nb = read_valid(next(unpacked_to.glob("*.ipynb")).read_bytes())
    python = environment_of(unpacked_to / "requirements.txt", tmp_path / "venv")
    ran = await run_elsewhere(nb, unpacked_to, python, monkeypatch)
    assert len(code_cells(ran)) == 10
    await assert_nothing_differs(nb, ran, session)
    loaders = {path.stem for path in (unpacked_to / "threadbook_load_file" / "loaders").iterdir()}
    assert {"table", "mail", "databases", "archives", "pickles"} < loaders
    assert not {"video", "chemistry", "geospatial"} & loaders
