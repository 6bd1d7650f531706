from __future__ import annotations

from pathlib import Path

from kernel_manager.packages.environments import Environment
from notebooks_export.requirements import canonical, installed_in, modules_to_open, requirements_of
from notebooks_export.surroundings import Installed
from tests.notebooks_export.making import cell

INSTALLED = Installed(
    {"sklearn": ("scikit-learn",), "PIL": ("pillow",), "google": ("google-a", "google-b")},
    {"scikit-learn": "1.7", "pillow": "13.0", "google-a": "1", "google-b": "2", "openpyxl": "3.1", "matplotlib": "3.11"},
)


def names(*codes: str, installed_packages: list[str] | None = None) -> list[str]:
    cells = [cell(number, code, installed_packages=installed_packages or []) for number, code in enumerate(codes)]
    return [str(requirement) for requirement in requirements_of(cells, INSTALLED)]


def test_imports_become_distributions_with_versions() -> None:
    assert names("import sklearn.cluster, os", "from PIL import Image\nimport my_own") == ["pillow==13.0", "scikit-learn==1.7"]


def test_a_shared_namespace_needs_all_who_bring_it() -> None:
    assert names("import google") == ["google-a==1", "google-b==2"]


def test_what_was_installed_for_the_session_is_named_even_where_nobody_knows_it() -> None:
    assert names("x", installed_packages=["Seaborn==0.13.2", "Pillow", "not a name!"]) == ["pillow==13.0", "seaborn==0.13.2"]


def test_what_libraries_import_on_demand_is_named() -> None:
    assert names("df.to_excel('a.xlsx')") == ["openpyxl==3.1"]
    assert names("df.plot()") == ["matplotlib==3.11"]


def test_what_opening_files_takes_is_named_by_their_endings() -> None:
    assert modules_to_open(["a.CSV", "b.tsv.gz", "notes.txt"]) == {"pandas"}
    assert modules_to_open(["a.xlsx", "b.parquet", "c.png"]) == {"pandas", "python_calamine", "pyarrow", "PIL"}
    assert modules_to_open(["069a5fca1dbc05d3", "csv"]) == set()


def test_a_real_environment_tells_its_modules(kernel_environment: Environment) -> None:
    found = installed_in(kernel_environment.root.glob("lib/python3*/site-packages"))
    assert [item.name for item in found.of_module("PIL")] == ["pillow"]
    assert [item.name for item in found.of_module("dateutil")] == ["python-dateutil"]
    assert found.named("ipykernel") is not None
    assert found.of_module("os") == []


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert installed_in([tmp_path / "no"]) == Installed()


def test_names_are_compared_as_indexes_do() -> None:
    assert canonical("Foo._Bar") == "foo-bar"
