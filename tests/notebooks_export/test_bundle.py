from __future__ import annotations

import ast
import dataclasses
import io
import json
import os
import random
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from kernel_manager.execution.result import WrittenFile
from kernel_manager.files.shelf import Shelf
from notebooks_export import to_notebook
from notebooks_export.bundle import Packing, Ran, bundle_requirements, choose, write_bundle
from notebooks_export.data_files import data_files, opened
from notebooks_export.loader_package import package_files, sources
from notebooks_export.surroundings import DataFile, Installed, Requirement, Surroundings
from tests.notebooks_export.making import cell, session

CSV_RAN = {
    "load_file.py": ["make_load_file"],
    **{f"loaders/{name}.py": ["x"] for name in ("compression", "dialect", "encoding", "header", "kinds", "numerals")},
    **{f"loaders/{name}.py": ["x"] for name in ("recognition", "source", "table")},
}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    made = Shelf(folder, 10**6)
    for name, content in (("a.csv", b"old;1"), ("b.txt", b"text"), ("a.csv", b"new;2")):
        made.add(io.BytesIO(content), name)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "sub").mkdir(parents=True)
    (folder / "mine.csv").write_text("x")
    (folder / "sub" / "deep.csv").write_text("x")
    (folder / "link.csv").symlink_to("/etc/passwd")
    (folder / "out").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    return folder


# Which files.


def test_the_newest_file_of_a_name_is_taken_and_an_older_one_by_its_id(shelf: Path) -> None:
    old = Shelf(shelf, 0).entries()[0]
    found = data_files([cell(1, f"load_file('a.csv'); load_file('{old.file_id}')")], shelf, None).found
    assert [(file.place, file.size) for file in found] == [("files/a.csv", 5), (f"files/{old.file_id}-a.csv", 5)]
    with opened(found[0].root, found[0].path) as stream:
        assert stream.read() == b"new;2"


def test_names_that_only_running_tells_take_all_files_along(shelf: Path) -> None:
    assert len(data_files([cell(1, "load_file(name)")], shelf, None).found) == 3
    assert len(data_files([cell(1, "list_files()")], shelf, None).found) == 3
    found = data_files([cell(1, "for name in FILES: print(name)")], shelf, None).found
    assert all(file.created_at for file in found)
    assert data_files([cell(1, "FILES = ['a']\nFILES")], shelf, None).found == ()


def test_files_of_the_working_folder_are_found_by_their_names_in_the_code(workspace: Path) -> None:
    names = ["mine.csv", "./sub/deep.csv", "link.csv", "out/passwd", "pipe", "../x", "/etc/passwd"]
    code = "\n".join(f"open({name!r})" for name in names)
    found = data_files([cell(1, code)], None, workspace)
    assert {file.place for file in found.found} == {"mine.csv", "sub/deep.csv"}
    assert found.missing == ()


def test_what_the_session_wrote_is_written_again_and_not_taken_along(workspace: Path) -> None:
    written = [WrittenFile("mine.csv", str(workspace / "mine.csv"), 1, "text/csv")]
    assert data_files([cell(1, "save('mine.csv')", files=written), cell(2, "load_file('mine.csv')")], None, workspace).found == ()


def test_what_is_not_there_any_more_is_named(shelf: Path) -> None:
    found = data_files([cell(1, "load_file('expired.csv'); load_file('b.txt')")], shelf, None)
    assert found.missing == ("expired.csv",)
    (shelf / found.found[0].path).unlink()
    assert data_files([cell(1, "load_file('b.txt')")], shelf, None).missing == ("b.txt",)


def test_a_file_that_became_a_link_is_not_read(workspace: Path) -> None:
    with pytest.raises(OSError, match="symbolic links"), opened(workspace, "link.csv"):
        pass
    with pytest.raises(OSError, match="Not a directory"), opened(workspace, "out/passwd"):
        pass


# The archive.


def files_of(folder: Path, **sizes: int) -> list[DataFile]:
    for number, (name, size) in enumerate(sizes.items()):
        (folder / name).write_bytes(random.Random(number).randbytes(size))
    return [DataFile(f"files/{name}", name, folder, name, size, f"id-{name}") for name, size in sizes.items()]


def test_the_largest_data_is_left_out_of_what_is_too_large(tmp_path: Path) -> None:
    files = files_of(tmp_path, big=50_000, small=1_000, middle=9_000)
    packing = choose(files, 20_000)
    assert [file.name for file in packing.data] == ["small", "middle"]
    assert packing.left_out == (("big", "its 50.0 kB are more than there was room for"),)
    assert choose(files, 10**6).data == tuple(files)
    assert choose(files, 0).data == ()


def test_data_that_packs_well_counts_as_packed(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(100_000))
    assert len(choose([DataFile("files/zeros", "zeros", tmp_path, "zeros", 100_000)], 5_000).data) == 1


def bundle(tmp_path: Path, packing: Packing, ran: Ran | None = None, code: str = "load_file('a.csv')") -> zipfile.ZipFile:
    history = session(cell(1, code))
    surroundings = Surroundings("3.12.4", (Requirement("pandas", "3.1"),), (Requirement("ipykernel", "7.4"),), packing.data)
    nb = to_notebook(history, surroundings=surroundings)
    streams = [io.BytesIO(), io.BytesIO()]
    for stream in streams:
        write_bundle(stream, "my-session", nb, packing, surroundings, ran)
    assert streams[0].getvalue() == streams[1].getvalue()
    return zipfile.ZipFile(streams[0])


def test_a_bundle_has_notebook_data_requirements_and_loaders_in_one_folder(tmp_path: Path) -> None:
    with bundle(tmp_path, Packing(tuple(files_of(tmp_path, **{"a.csv": 10})))) as archive:
        names = archive.namelist()
        assert all(name.startswith("my-session/") and ".." not in name for name in names)
        assert {"my-session/my-session.ipynb", "my-session/files/a.csv", "my-session/threadbook_load_file/__init__.py"} < set(
            names
        )
        assert archive.read("my-session/requirements.txt").decode().splitlines()[1:] == ["ipykernel==7.4", "pandas==3.1"]
        (listed,) = json.loads(archive.read("my-session/files/index.json"))["files"]
        assert (listed["file_id"], listed["path"]) == ("id-a.csv", "a.csv")


def test_what_is_not_in_a_bundle_is_named_with_the_reason(tmp_path: Path) -> None:
    surroundings = Surroundings(missing=("expired.csv",))
    nb = to_notebook(session(cell(1, "load_file('expired.csv')")), surroundings=surroundings)
    stream = io.BytesIO()
    write_bundle(stream, "s", nb, Packing((), (("big.csv", "its 80.0 MB are too much"),)), surroundings, None)
    with zipfile.ZipFile(stream) as archive:
        archive.extractall(tmp_path)
    told = [run_python(tmp_path / "s", TELL.format(name=name)) for name in ("expired.csv", "big.csv")]
    assert told[0].startswith("FileNotFoundError expired.csv is not in this bundle: it was no longer there when this notebook")
    assert "expired or was deleted. Put it into the folder " in told[0]
    assert "its 80.0 MB are too much" in told[1]


def test_without_load_file_there_are_no_loaders(tmp_path: Path) -> None:
    with bundle(tmp_path, Packing(()), code="1 + 1") as archive:
        assert [name.partition("/")[2] for name in archive.namelist()] == ["my-session.ipynb", "requirements.txt"]


def test_requirements_are_what_code_and_loaders_and_the_kernel_need() -> None:
    installed = Installed({"pyarrow": ("pyarrow",)}, {"pyarrow": "26"})
    surroundings = Surroundings(None, (Requirement("pandas", "3"),), (Requirement("ipykernel", "7"),), installed=installed)
    found = bundle_requirements(surroundings, Ran({}, ["pyarrow", "os"]))
    assert [str(item) for item in found] == ["ipykernel==7", "pandas==3", "pyarrow==26"]


# The small load_file.


def run_package(folder: Path, ran: dict[str, list[str]] | None, code: str, left_out: dict[str, str] | None = None) -> str:
    """Write the package, run code with it in a process of its own (without this project), return what that printed."""
    for path, text in package_files(sources(), ran, left_out or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "files").mkdir(exist_ok=True)
    return run_python(folder, code)


def run_python(folder: Path, code: str) -> str:
    command = [sys.executable, "-c", f"from threadbook_load_file import load_file\n{code}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    return done.stdout + done.stderr


TELL = "try:\n    print(repr(load_file({name!r})))\nexcept Exception as exc:\n    print(type(exc).__name__, exc)"


def test_all_sources_are_there_when_nobody_knows_what_ran() -> None:
    files = package_files(sources(), None, {})
    for path, text in sources().items():
        assert files[f"threadbook_load_file/{path}"] == text
    assert {"load_file.py", "loaders/table.py", "loaders/source.py"} < set(sources())


def test_everything_that_the_sources_import_of_each_other_is_among_them(tmp_path: Path) -> None:
    for path, text in sources().items():
        here = PurePosixPath(path)
        for node in ast.walk(ast.parse(text) if path.endswith(".py") else ast.parse("")):
            if isinstance(node, ast.ImportFrom) and node.level:
                folder = here.parents[node.level - 1]
                module = folder / (node.module or "").replace(".", "/")
                files = {f"{module}.py", f"{module}/__init__.py", *(f"{module / alias.name}.py" for alias in node.names)}
                assert files & set(sources()), (path, ast.unparse(node))


@pytest.mark.parametrize("ran", [None, {"loaders/mail.py": ["load_mail"], "loaders/limited.py": ["load"]}])
def test_what_a_process_of_its_own_opens_comes_back(tmp_path: Path, ran: dict[str, list[str]] | None) -> None:
    (tmp_path / "a.eml").write_text("From: ada@example.org\nSubject: Numbers\n\nHello.\n")
    code = "found = load_file('a.eml')\nprint(type(found).__module__, found.headers['Subject'])"
    told = run_package(tmp_path, ran and {**CSV_RAN, **ran}, code)
    assert told == "threadbook_load_file.loaders.document Numbers\n"


def test_only_what_ran_and_what_that_refers_to_stays() -> None:
    whole, small = (package_files(sources(), ran, {}) for ran in (None, CSV_RAN))
    assert small["threadbook_load_file/loaders/table.py"] == whole["threadbook_load_file/loaders/table.py"]
    spreadsheet = small.get("threadbook_load_file/loaders/spreadsheet.py", "")
    assert "calamine" in whole["threadbook_load_file/loaders/spreadsheet.py"]
    assert "calamine" not in spreadsheet
    assert sum(map(len, small.values())) < 0.9 * sum(map(len, whole.values()))


def test_the_small_load_file_works_without_this_project(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("héllo")
    files = [{"file_id": "7", "filename": "a.txt", "path": "a.txt"}, {"file_id": "8", "filename": "big.csv", "path": "big.csv"}]
    (tmp_path / "files" / "index.json").write_text(json.dumps({"version": 1, "files": files}))
    ran = {**CSV_RAN, "loaders/plain.py": ["load_text"]}
    assert run_package(tmp_path, ran, TELL.format(name="7"), {"big.csv": "its 80.0 MB are too much"}) == "'héllo'\n"
    told = run_package(tmp_path, ran, TELL.format(name="big.csv"), {"big.csv": "its 80.0 MB are too much"})
    assert told.startswith("FileNotFoundError big.csv is not in this bundle: its 80.0 MB are too much. Put it into the folder ")
    assert "there are: big.csv, a.txt" in run_package(tmp_path, ran, TELL.format(name="no.csv"))
    (tmp_path / "b.json").write_text("{}")
    assert "this small load_file has loaders for the files of its bundle only; load_json is not among them" in run_package(
        tmp_path, ran, TELL.format(name="b.json")
    )


LATER = {
    "load_file.py": """
        from .loaders.kinds import KINDS
        def make_load_file(folder):
            return lambda name, as_=None: KINDS
    """,
    "file_index.py": """
        class FilesTable:
            def __init__(self, folder):
                self.folder = folder
            def list_files(self):
                return []
    """,
    "loaders/__init__.py": "",
    "loaders/kinds.py": """
        from .a import load_a, MAGIC
        from .b import B as Other
        KINDS = {MAGIC: load_a.__name__, "b": Other.made}
        LAZY = "c:load_c"
    """,
    "loaders/a.py": """
        import json
        from .deep import helper, UNIT
        MAGIC = UNIT * 2
        def load_a(x):
            return helper(json.loads(x))
    """,
    "loaders/b.py": """
        from .deep import helper
        class B:
            made = helper(1)
    """,
    "loaders/c.py": """
        def load_c(x):
            return x
    """,
    "loaders/deep.py": """
        UNIT = "m"
        def helper(x):
            return other(x)
        def other(x):
            return x
        def unused():
            pass
    """,
    "loaders/types.json": "{}",
}
LATER = {path: textwrap.dedent(text).lstrip("\n") for path, text in LATER.items()}
LATER_RAN = {"load_file.py": ["make_load_file"], "loaders/kinds.py": ["x"]}


def test_loaders_that_arrive_later_are_pruned_too() -> None:
    files = package_files(LATER, LATER_RAN, {})
    assert "json" not in files["threadbook_load_file/loaders/a.py"]
    assert "unused" not in files["threadbook_load_file/loaders/deep.py"]
    assert "def other" in files["threadbook_load_file/loaders/deep.py"]
    assert "threadbook_load_file/loaders/c.py" not in files
    assert files["threadbook_load_file/loaders/types.json"] == "{}"


@pytest.mark.parametrize(
    "filling", ["for x in 'ab':\n    TABLE[x] = 1\n", "TABLE.update(a=1)\n", "TABLE['a'] = 1\n", "TABLE |= {'a': 1}\n"]
)
def test_modules_that_do_more_than_define_stay_whole(filling: str) -> None:
    table = f"TABLE = {{}}\ndef unused():\n    pass\n{filling}"
    eager = {**LATER, "loaders/table.py": table, "loaders/kinds.py": "from .table import TABLE\nKINDS = TABLE\n"}
    assert package_files(eager, LATER_RAN, {})["threadbook_load_file/loaders/table.py"] == table


def test_modules_that_are_imported_as_such_stay_whole() -> None:
    eager = {**LATER, "loaders/kinds.py": "from . import a, b\nKINDS = [a, b]\n"}
    files = package_files(eager, LATER_RAN, {})
    assert files["threadbook_load_file/loaders/a.py"] == LATER["loaders/a.py"]


def test_a_bundle_lists_its_files_as_the_kernel_did(tmp_path: Path) -> None:
    times = ("2026-01-02T00:00:00+00:00", "2026-01-01T00:00:00+00:00")
    files = [
        dataclasses.replace(file, created_at=at, expires_at=times[0])
        for file, at in zip(files_of(tmp_path, **{"new.csv": 5, "old.csv": 7}), times, strict=True)
    ]
    with bundle(tmp_path, Packing(tuple(files)), Ran(CSV_RAN, []), code="FILES") as archive:
        archive.extractall(tmp_path / "b")
    code = "from threadbook_load_file import FILES\nprint(list(FILES), len(FILES), 'id-old.csv' in FILES)"
    assert run_python(tmp_path / "b" / "my-session", code) == "['new.csv', 'old.csv'] 2 True\n"
    (listed, _) = json.loads((tmp_path / "b" / "my-session" / "files" / "index.json").read_text())["files"]
    assert (listed["filename"], listed["created_at"], listed["expires_at"]) == ("old.csv", times[1], times[0])


def test_sources_that_are_not_understood_are_taken_whole() -> None:
    broken = package_files({**LATER, "loaders/kinds.py": "def ("}, LATER_RAN, {})
    assert broken["threadbook_load_file/loaders/a.py"] == LATER["loaders/a.py"]


def test_what_is_left_of_modules_that_import_each_other_still_imports(tmp_path: Path) -> None:
    for path, text in package_files(LATER, LATER_RAN, {}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    command = [sys.executable, "-c", "from threadbook_load_file import load_file; print(load_file('x'))"]
    assert (
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "{'mm': 'load_a', 'b': 1}\n"
    )
