from __future__ import annotations

import pytest

from notebooks_export.code import Load, imported_names, literals, loads, why_not_repeatable


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import numpy as np, os.path\nfrom pandas.core import api", {"numpy", "os", "pandas"}),
        ("from . import x\nfrom .y import z", set()),
        ("%matplotlib inline\n!pip list\nimport a", {"a"}),
        ("files = !ls\nimport a\nlen?", {"a"}),
        ("%%time\nimport a", {"a"}),
        ("%%bash\nimport x from y", set()),
        ("def f():\n    import inner", {"inner"}),
        ("import whole\nbroken(", {"whole"}),
        ("", set()),
        ("\0", set()),
    ],
)
def test_imports_are_read_from_any_cell(code: str, names: set[str]) -> None:
    assert imported_names(code) == names


def test_calls_of_load_file_with_their_literal_options() -> None:
    code = "a = load_file('a.csv', sep=';', skiprows=n)\nload_file(name='b.txt', as_='path')"
    assert loads(code) == ([Load("a.csv", {"sep": ";"}), Load("b.txt", {"as_": "path"})], False)


@pytest.mark.parametrize(
    "code",
    ["list_files()", "'a.csv' in FILES", "load_file(name)", "load_file(f'{x}.csv')", "load_file(", "%%time\nload_file(*x)"],
)
def test_a_name_that_only_running_tells_is_noticed(code: str) -> None:
    assert loads(code) == ([], True)


def test_names_that_the_code_gives_to_something_else_list_nothing() -> None:
    assert loads("FILES = ['a']\nfor name in FILES: print(name)") == ([], False)
    assert loads("def list_files(): ...") == ([], False)


def test_literals_are_short_single_lines() -> None:
    assert literals("x = 'a.txt'; y = 'two\\nlines'; z = '" + "x" * 300 + "'; b''; f'{x}b'") == {"a.txt", "b"}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("datetime.now()", "uses the current time"),
        ("time.time() - t", "uses the current time"),
        ("np.random.rand(3)", "uses random numbers"),
        ("rng = np.random.default_rng()", "uses random numbers"),
        ("uuid.uuid4()", "makes unique values"),
        ("getpass.getpass()", "asks for a password, which is never kept"),
        ("requests.get(url)", "uses the network"),
        ("1 + 1", None),
    ],
)
def test_the_code_tells_why_it_is_not_repeatable(code: str, why: str | None) -> None:
    assert why_not_repeatable(code) == why
