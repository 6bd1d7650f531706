from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.packages.requirement import normalised, parse_requirement


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("seaborn", "seaborn"),
        (" Scikit_Learn ", "scikit-learn"),
        ("ruamel.yaml", "ruamel-yaml"),
        ("polars >= 1 , < 2", "polars>=1,<2"),
        ("dask[array, dataframe]~=2026.1", "dask[array,dataframe]~=2026.1"),
        ("x==1.0rc1", "x==1.0rc1"),
    ],
)
def test_names_extras_and_versions_are_read(text: str, read: str) -> None:
    assert str(parse_requirement(text)) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-r requirements.txt",
        "--index-url=https://example.invalid",
        "-e.",
        "seaborn @ https://example.invalid/x.whl",
        "https://example.invalid/x.whl",
        "git+https://example.invalid/x",
        "./seaborn",
        "../seaborn",
        "/etc/passwd",
        "seaborn.whl/..",
        "seaborn; python_version > '3'",
        "seaborn\n--index-url x",
        "seaborn\x00",
        "sea born",
        "\N{LATIN SMALL LETTER LONG S}eaborn",
        "séaborn",
        "seaborn===1",
        "seaborn==1 --hash=x",
        "$(id)",
        "{name}",
        "x" * 300,
        "x[" + ",".join("y" * 20 for _ in range(30)) + "]",
    ],
)
def test_anything_that_could_lead_elsewhere_is_refused(text: str) -> None:
    assert parse_requirement(text) is None


@given(st.text(max_size=60))
def test_what_is_read_is_one_word_that_is_no_option_and_no_path(text: str) -> None:
    requirement = parse_requirement(text)
    if requirement is not None:
        shown = str(requirement)
        assert shown.isascii()
        assert shown.isprintable()
        assert not shown.startswith(("-", ".", "/"))
        assert not any(character in shown for character in " @/\\;#")


def test_names_have_one_spelling() -> None:
    assert {normalised(name) for name in ("A.b_C", "a-b-c", "A__b--C")} == {"a-b-c"}
