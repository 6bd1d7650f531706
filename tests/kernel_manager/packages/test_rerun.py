from __future__ import annotations

import pytest

from kernel_manager.packages.rerun import had_no_effect


def traceback(line: int, count: int = 3, *more: str) -> list[str]:
    where = f"\x1b[36mCell\x1b[39m \x1b[32mIn[{count}]\x1b[39m\x1b[32m, line {line}\x1b[39m"
    return ["\x1b[31mModuleNotFoundError\x1b[39m  Traceback", where, *more]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("import seaborn", 1),
        ('"""What it does."""\nimport os\nfrom os import path\nimport seaborn', 4),
        ("def f():\n    return g()\nclass C(Base):\n    'doc'\n    x = 1\n    def m(self): ...\nimport seaborn", 7),
        ("@dataclass(frozen=True)\nclass C:\n    x: int = 1\n    @property\n    def y(self): ...\nimport seaborn", 6),
        ("%pip install x\nimport seaborn", 2),
        ("import pandas as pd\ndf = pd.read_excel('a.xls')", 2),
        ("df = load_file('a.mat')", 1),
        ("load_file('a.mat').head()", 1),
        ("import pandas as pd\nprint(pd.read_html('x')[0])", 2),
    ],
)
def test_a_cell_that_only_imported_defined_and_read_may_run_again(code: str, line: int) -> None:
    assert had_no_effect(code, 3, traceback(line))


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("x = 1\nimport seaborn", 2),
        ("print('sent')\nimport seaborn", 2),
        ("send()\nimport seaborn", 2),
        ("if x:\n    send()\n    import seaborn", 3),
        ("for x in y:\n    import seaborn", 2),
        ("with open('f') as f:\n    import seaborn", 2),
        ("@register\nclass C: ...\nimport seaborn", 3),
        ("@register()\ndef f(): ...\nimport seaborn", 3),
        ("def f(x=send()): ...\nimport seaborn", 2),
        ("class C:\n    x = send()\nimport seaborn", 3),
        ("class C(make()): ...\nimport seaborn", 2),
        ("!ls\nimport seaborn", 2),
        ("df = pd.read_excel(fetch())", 1),
        ("df.to_excel('a.xlsx')", 1),
        ("x.y = pd.read_excel('a')", 1),
        ("(x := pd.read_excel('a'))", 1),
        ("send()", 1),
        ("not Python", 1),
    ],
)
def test_a_cell_that_did_something_never_runs_again(code: str, line: int) -> None:
    assert not had_no_effect(code, 3, traceback(line))


def test_code_of_the_person_that_was_called_on_the_way_may_have_done_something() -> None:
    assert not had_no_effect("load_file('a')", 3, traceback(1, 3, "Cell In[2], line 7, in helper()"))


@pytest.mark.parametrize("frames", [[], ["Traceback"], traceback(9), traceback(1, 2)])
def test_without_knowing_where_it_failed_it_does_not_run_again(frames: list[str]) -> None:
    assert not had_no_effect("import seaborn", 3, frames)
    assert not had_no_effect("import seaborn", None, traceback(1))
