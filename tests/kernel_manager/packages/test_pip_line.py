from __future__ import annotations

import pytest

from kernel_manager.packages.pip_line import PipLine, read_pip_line


@pytest.mark.parametrize(
    "line",
    [
        "%pip install seaborn",
        "!pip install seaborn",
        "!pip3 install -q --upgrade seaborn",
        "pip install seaborn",
        "!python -m pip install seaborn",
        "!{sys.executable} -m pip install seaborn",
        "!/usr/bin/python3.11 -m pip install seaborn  # for figures",
        "!uv pip install seaborn",
        "%conda install -y seaborn",
        "  !pip install seaborn && echo done",
        "!pip install 'seaborn' | tail -1",
    ],
)
def test_every_way_to_ask_for_a_package_is_read(line: str) -> None:
    assert read_pip_line(line) == PipLine(wanted=("seaborn",))


@pytest.mark.parametrize(
    "line", ["!ls", "%pip list", "!pip uninstall seaborn", "!pip installs x", "%time x", "!echo", "!apt install x"]
)
def test_other_lines_ask_for_nothing(line: str) -> None:
    assert read_pip_line(line) is None


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ("-i https://example.invalid/simple seaborn", ("-i https://example.invalid/simple",)),
        ("--index-url=https://example.invalid seaborn", ("--index-url=https://example.invalid",)),
        ("--find-links /tmp seaborn", ("--find-links /tmp",)),
        ("seaborn --pre", ("--pre",)),
    ],
)
def test_options_that_change_the_source_are_named_and_not_followed(arguments: str, refused: tuple[str, ...]) -> None:
    assert read_pip_line(f"!pip install {arguments}") == PipLine(wanted=("seaborn",), refused=refused)


def test_a_line_that_no_shell_would_read_is_refused_as_a_whole() -> None:
    assert read_pip_line("!pip install 'seaborn") == PipLine(refused=("'seaborn",))


def test_endless_lines_are_bounded() -> None:
    assert read_pip_line("!pip install " + "x " * 10_000) is None
    read = read_pip_line("!pip install " + "x " * 1_000)
    assert read is not None
    assert len(read.wanted) == 50
