"""The files that a cell wrote, and files handed in for ``load_file``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernel_manager import LimitError, Session, Settings, UsageError
from kernel_manager.execution.result import ExecutionResult
from tests.integration.following import failure, session_with, written
from tests.integration.support import value


def names(result: ExecutionResult) -> list[str]:
    """Names of the files in a result."""
    return [file.filename for file in result.files]


async def test_a_new_file_is_named_with_its_size_and_type(session: Session) -> None:
    result = await session.execute("import pandas as pd\npd.DataFrame({'a': [1]}).to_csv('table.csv', index=False)")
    (file,) = result.files
    assert (file.filename, file.size, file.mime) == ("table.csv", 4, "text/csv")
    assert Path(file.path).read_text() == "a\n1\n"


async def test_only_what_the_cell_changed_is_named(session: Session) -> None:
    await session.execute("for name in 'abc':\n    open(name, 'w').write(name)")
    result = await session.execute("import os\nopen('a', 'a').write('more')\nos.remove('b')\nopen('d', 'w').close()")
    assert names(result) == ["a", "d"]
    assert names(await session.execute("open('a').read()")) == []


async def test_a_rewritten_file_of_the_same_size_is_noticed(session: Session) -> None:
    await session.execute("open('a', 'w').write('1')")
    assert names(await session.execute("open('a', 'w').write('2')")) == ["a"]


async def test_subfolders_are_looked_into(session: Session) -> None:
    result = await session.execute("import os\nos.makedirs('out/deep')\nopen('out/deep/x.json', 'w').write('{}')")
    assert names(result) == ["out/deep/x.json"]
    assert result.files[0].mime == "application/json"


async def test_links_pipes_and_sockets_are_never_followed(session: Session) -> None:
    result = await session.execute(
        "import os, socket\n"
        "os.symlink('/etc/passwd', 'passwd')\nos.symlink('/etc', 'folder')\nos.mkfifo('pipe')\n"
        "server = socket.socket(socket.AF_UNIX)\nserver.bind('socket')\n"
        "open('real', 'w').close()\nos.link('real', 'second name')"
    )
    assert names(result) == []
    notes = written(result, "stderr")
    assert all(name in notes for name in ("passwd", "folder", "pipe", "socket", "real", "second name"))
    assert "hosts" not in notes


async def test_hidden_files_and_caches_are_left_out(session: Session) -> None:
    result = await session.execute("%%writefile helper.py\nx = 1")
    assert names(result) == ["helper.py"]
    code = "import sys\nsys.dont_write_bytecode = False\nsys.path.insert(0, '')\nimport helper\nopen('.hidden', 'w').close()"
    hidden = await session.execute(code)
    assert (hidden.status, hidden.files) == ("ok", [])


async def test_files_of_a_failed_cell_are_named_too(session: Session) -> None:
    result = await session.execute("open('partial', 'w').write('x')\n1 / 0")
    assert (result.status, names(result)) == ("error", ["partial"])


async def test_files_of_a_dead_kernel_are_named_too(session: Session) -> None:
    result = await session.execute("import os\nopen('partial', 'w').write('x')\nos._exit(1)")
    assert (result.status, names(result)) == ("died", ["partial"])


async def test_too_many_and_too_large_files_are_said(settings: Settings) -> None:
    async with session_with(settings, max_artifacts=3, max_file_size_mb=1) as session:
        many = await session.execute("for i in range(10):\n    open(f'{i}.txt', 'w').write('x')")
        assert names(many) == ["0.txt", "1.txt", "2.txt"]
        assert "files past the 3 that are listed: 7" in written(many, "stderr")
        large = await session.execute("with open('large.bin', 'wb') as f:\n    f.truncate(2**20 + 1)")
        assert names(large) == []
        assert "large.bin: 1,048,577 bytes, more than the 1,048,576" in written(large, "stderr")


async def test_odd_names_arrive_escaped_and_as_sound_json(session: Session) -> None:
    result = await session.execute("for name in (b'\\xff.txt', 'é\\n.csv'.encode()):\n    open(name, 'w').close()")
    assert set(names(result)) == {"\\xff.txt", "é\\n.csv"}
    assert json.loads(json.dumps(result.to_dict()))["files"][0]["size"] == 0


REMOVING = "import os, shutil\nopen('x', 'w').close()\nshutil.rmtree(os.getcwd())"


async def test_a_removed_working_folder_is_said(settings: Settings) -> None:
    async with session_with(settings, sandbox="none") as session:
        result = await session.execute(REMOVING)
    assert result.status == "ok"
    assert "the working folder is gone" in written(result, "stderr")


async def test_in_a_jail_the_working_folder_cannot_be_removed(session: Session) -> None:
    result = await session.execute(REMOVING)
    assert result.status == "error"
    assert list(session.workspace.iterdir()) == []
    assert (await session.execute("open('y', 'w').close()")).ok


# Files handed in.


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A folder of small files."""
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / "cities.csv").write_text("city;people\nOslo;709000\nBergen;291000\n")
    (folder / "settings.json").write_text('{"a": [1, 2]}')
    (folder / "notes.txt").write_text("première ligne\n", encoding="utf-8")
    return folder


MAKE_MORE = """
import pandas as pd
from PIL import Image
frame = pd.DataFrame({'n': [1, 2, 3], 's': ['x', 'y', 'z']})
frame.to_excel('book.xlsx', index=False)
frame.to_parquet('frame.parquet')
Image.new('RGB', (4, 2), (1, 2, 3)).save('dot.png')
"""


async def test_files_are_loaded_by_name(session: Session, samples: Path) -> None:
    files = sorted(samples.iterdir())
    result = await session.execute("list(load_file('cities.csv').itertuples(index=False, name=None))", files=files)
    assert value(result) == "[('Oslo', 709000), ('Bergen', 291000)]"
    assert value(await session.execute("load_file('settings.json')")) == "{'a': [1, 2]}"
    assert value(await session.execute("load_file('notes.txt')")) == "'première ligne\\n'"


async def test_excel_parquet_and_images_are_loaded_by_name(session: Session, tmp_path: Path) -> None:
    made = await session.execute(MAKE_MORE)
    copies = []
    for file in made.files:
        copy = tmp_path / file.filename
        copy.write_bytes(Path(file.path).read_bytes())
        Path(file.path).unlink()
        copies.append(copy)
    result = await session.execute("load_file('book.xlsx').equals(load_file('frame.parquet'))", files=copies)
    assert value(result) == "True"
    image = await session.execute("image = load_file('dot.png')\nimage.size, image.getpixel((0, 0))")
    assert value(image) == "((4, 2), (1, 2, 3))"


async def test_an_unknown_name_lists_what_is_there(session: Session, samples: Path) -> None:
    result = await session.execute("open('made.txt', 'w').close()\nload_file('citis.csv')", files=sorted(samples.iterdir()))
    assert result.status == "error"
    assert failure(result)["evalue"] == "there is no file 'citis.csv'; there are: cities.csv, settings.json, notes.txt, made.txt"


async def test_a_file_that_arrives_while_the_kernel_lives_is_found(session: Session, samples: Path) -> None:
    assert (await session.execute("load_file('notes.txt')")).status == "error"
    result = await session.execute("load_file('notes.txt')", files=[samples / "notes.txt"])
    assert value(result) == "'première ligne\\n'"


async def test_a_file_of_the_working_folder_is_loaded_by_its_path(session: Session) -> None:
    result = await session.execute("open('own.csv', 'w').write('a,b\\n1,2\\n')\nload_file('own.csv').shape")
    assert value(result) == "(1, 2)"


async def test_the_newest_file_of_a_name_is_loaded(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "same.txt"
    for content in ("old", "new"):
        file.write_text(content)
        assert value(await session.execute("load_file('same.txt')", files=[file])) == repr(content)


async def test_a_missing_or_too_large_file_is_refused_before_the_cell_runs(settings: Settings, tmp_path: Path) -> None:
    async with session_with(settings, max_file_size_mb=1) as session:
        with pytest.raises(UsageError):
            await session.execute("1", files=[tmp_path / "missing.csv"])
        (tmp_path / "large.csv").write_bytes(b"x" * (2**20 + 1))
        with pytest.raises(LimitError):
            await session.execute("1", files=[tmp_path / "large.csv"])
        assert value(await session.execute("'usable'")) == "'usable'"
