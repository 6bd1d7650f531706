from __future__ import annotations

import pytest

from kernel_manager.packages.cell_imports import CellImports, read_imports


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("import seaborn as sns, numpy.linalg", ("seaborn", "numpy.linalg")),
        ("from sklearn.linear_model import LinearRegression", ("sklearn.linear_model.LinearRegression",)),
        ("from google.cloud import bigquery", ("google.cloud.bigquery",)),
        ("from plotnine import *", ("plotnine",)),
        ("def f():\n    import duckdb", ("duckdb",)),
        ("async def f():\n    async with x:\n        import duckdb", ("duckdb",)),
        ("try:\n    pass\nexcept E:\n    import a\nelse:\n    import b\nfinally:\n    import c", ("a", "b", "c")),
        ("match x:\n    case 1:\n        import a", ("a",)),
        ("class C:\n    import a", ("a",)),
        ("import importlib\nimportlib.import_module('polars')", ("importlib", "polars")),
        ("__import__('polars.x')", ("polars.x",)),
        ("f(import_module('polars'))", ("polars",)),
        ("import_module(name)", ()),
        ("import_module('not a name')", ()),
        ("from . import x", ()),
        ("s = 'import seaborn'", ()),
        ("# import seaborn", ()),
        ("", ()),
    ],
)
def test_imports_are_found_wherever_they_are(code: str, modules: tuple[str, ...]) -> None:
    assert sorted(read_imports(code).modules) == sorted(modules)


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("%matplotlib inline\nimport seaborn", ("seaborn",)),
        ("%%time\nimport seaborn", ("seaborn",)),
        ("%time import seaborn", ("seaborn",)),
        ("%%timeit -n 1\nimport seaborn", ("seaborn",)),
        ("files = !ls\nimport seaborn", ("seaborn",)),
        ("x.y?\nimport seaborn", ("seaborn",)),
        ("??x\nimport seaborn", ("seaborn",)),
        ("if True:\n    !ls\n    import seaborn", ("seaborn",)),
        ("%%html\nimport seaborn", ()),
        ("%%writefile x.py\nimport seaborn", ()),
        ("x = (1\n  % 2)\n!ls\nimport seaborn", ("seaborn",)),
        ("import seaborn\nprint 'no Python'", ("seaborn",)),
    ],
)
def test_what_ipython_adds_to_the_language_is_understood(code: str, modules: tuple[str, ...]) -> None:
    assert read_imports(code).modules == modules


def test_lines_that_ask_for_packages_are_read_and_those_in_strings_are_not() -> None:
    code = 's = """\n!pip install nothing\n"""\nif x:\n    !pip install -i http://x one\n%pip install "two>=2"\n'
    assert read_imports(code) == CellImports(wanted=("one", "two>=2"), refused=("-i http://x",))


def test_a_shell_cell_is_read_line_by_line() -> None:
    assert read_imports("%%bash\nls\npip install one two\n").wanted == ("one", "two")


@pytest.mark.parametrize(
    "code", ["import " * 100_000, "(" * 5_000 + "import x", "import x\x00", "if 1:\n" * 200 + "import", "%%time"]
)
def test_no_code_is_too_strange(code: str) -> None:
    read_imports(code)


def test_many_modules_are_bounded() -> None:
    assert len(read_imports("\n".join(f"import m{number}" for number in range(1_000))).modules) == 200
