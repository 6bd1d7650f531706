from __future__ import annotations

import ast
import builtins
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel_manager.sessions.history import Answer
from notebooks_export import to_notebook
from notebooks_export.code import parse
from notebooks_export.setup_cells import answers_cell, load_file_cell, packages_cell, requirements_text
from notebooks_export.surroundings import DataFile, Requirement, Surroundings
from tests.notebooks_export.making import cell, session

SURROUNDINGS = Surroundings(
    python_version="3.12.4", requirements=(Requirement("pandas", "3.1.1"), Requirement("odd"), Requirement("pip", "0"))
)


def test_they_come_after_the_title_and_only_where_they_are_needed() -> None:
    asked = cell(2, "input('a? ')", answers=[Answer("a? ", "x")])
    nb = to_notebook(session(cell(1, "load_file('a.csv')"), asked), surroundings=SURROUNDINGS)
    assert [item.id for item in nb.cells[:4]] == ["title", "packages", "load-file", "answers"]
    assert all(item.metadata.tags == [f"threadbook-{item.id}"] for item in nb.cells[1:4])
    assert nb.metadata.language_info.version == "3.12.4"
    assert [item.id for item in to_notebook(session(cell(1, "x"))).cells] == ["title", "000000000001"]


def run_packages(monkeypatch: pytest.MonkeyPatch, *, has_pip: bool, there: set[str]) -> str:
    found = packages_cell(SURROUNDINGS)
    assert found is not None
    assert "Python 3.12.4" in found["source"]
    code = found["source"].replace('%pip install --quiet {" ".join(_missing)}', "_installed.extend(_missing)")

    def version(name: str) -> str:
        if name in there:
            return "1"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if has_pip else None)
    names: dict[str, Any] = {"_installed": []}
    exec(compile(code, "cell", "exec"), names)
    return " ".join(names["_installed"])


def test_missing_packages_are_installed_with_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_packages(monkeypatch, has_pip=True, there={"pip"}) == "pandas==3.1.1 odd"


def test_without_pip_the_cell_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_packages(monkeypatch, has_pip=False, there={"pip", "odd"}) == ""
    assert capsys.readouterr().out == "Not installed here, where there is no pip: pandas==3.1.1\n"


def test_where_all_is_there_nothing_happens(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_packages(monkeypatch, has_pip=True, there={"pip", "odd", "pandas"}) == ""
    assert capsys.readouterr().out == ""


def replaying(*answers: Answer) -> Callable[[str], str]:
    found = answers_cell(answers)
    assert found is not None
    names: dict[str, Any] = {}
    exec(compile(found["source"], "cell", "exec"), names)
    replay: Callable[[str], str] = names["input"]
    return replay


def test_answers_are_given_again_by_their_prompts_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    replay = replaying(Answer("a? ", "1"), Answer("b? ", 'quo"te\n\\'), Answer("a? ", "3"))
    monkeypatch.setattr(builtins, "input", lambda prompt="": f"asked {prompt}")
    assert [replay("b? "), replay("a? "), replay("a? "), replay("a? "), replay("c")] == [
        'quo"te\n\\',
        "1",
        "3",
        "asked a? ",
        "asked c",
    ]


def test_nothing_asked_no_cell() -> None:
    assert answers_cell([]) is None


def test_the_load_file_cell_knows_ids_old_names_and_what_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a_b.txt").write_text("text")
    file = DataFile("files/a_b.txt", "a_b.txt", tmp_path, "x", 4, "0123abcd", "a/b.txt")
    source = load_file_cell(Surroundings(data=(file,), missing=("old.csv",)), [("big.csv", "its 80.0 MB are too much")])["source"]
    names: dict[str, Any] = {}
    exec(compile(source, "cell", "exec"), names)
    load_file = names["load_file"]
    assert load_file("0123abcd") == load_file("a/b.txt") == load_file("a_b.txt") == "text"
    assert names["FILES"] == ["a_b.txt"]
    assert load_file("a_b.txt", as_="path") == Path("files/a_b.txt")
    assert load_file("a_b.txt", as_="bytes") == b"text"
    with pytest.raises(
        FileNotFoundError, match=r"'old.csv' is not there \(it was no longer there when .* expired or was deleted\)"
    ):
        load_file("old.csv")
    with pytest.raises(FileNotFoundError, match=r"80\.0 MB.*files/a_b\.txt"):
        load_file("big.csv")


@pytest.mark.parametrize("name", ['"""', "'''\\", "{x}", "\ud800", "é\n"])
def test_odd_names_and_answers_stay_data(name: str) -> None:
    for found in (
        answers_cell([Answer(name, name)]),
        load_file_cell(Surroundings(missing=(name,)), [(name, name)]),
        packages_cell(Surroundings(requirements=(Requirement(name),))),
    ):
        assert found is not None
        tree = parse(found["source"])
        assert tree is not None
        assert name in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_requirements_are_pinned_and_say_the_version_of_python() -> None:
    assert requirements_text(SURROUNDINGS.requirements[:2], "3.12.4") == "# made with Python 3.12.4\npandas==3.1.1\nodd\n"
