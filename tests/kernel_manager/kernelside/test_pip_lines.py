from __future__ import annotations

from importlib import metadata

import pytest

from kernel_manager.kernelside.pip_lines import PackageNotInstalledError, report, split_pip_line

PYTEST = f"pytest {metadata.version('pytest')} is installed"


@pytest.mark.parametrize(
    ("command", "arguments", "rest"),
    [
        ("pip install x", " x", ""),
        ("'/usr/bin/python3.11' -m pip install x", " x", ""),
        ("/e/bin/python -m pip install -q x", " -q x", ""),
        ("uv pip install x && ls -l", " x ", "ls -l"),
        ("conda install -y x; ls", " -y x", "ls"),
    ],
)
def test_installations_are_recognised_and_cut_from_what_follows(command: str, arguments: str, rest: str) -> None:
    assert split_pip_line(command) == (arguments, rest)


@pytest.mark.parametrize("command", ["ls", "pip list", "pip uninstall x", "echo pip install x", "pipx install x"])
def test_other_commands_run_as_ever(command: str) -> None:
    assert split_pip_line(command) is None


@pytest.mark.parametrize("arguments", ["pytest", "-q 'pytest>=1'", "-i http://x pytest # x"])
def test_packages_that_are_there_are_named_with_their_version(arguments: str) -> None:
    assert report(arguments) == PYTEST


@pytest.mark.parametrize("arguments", ["no-such-thing-here", "pytest no-such-thing-here==1"])
def test_one_that_is_not_there_is_an_error_without_the_way_through_our_code(arguments: str) -> None:
    with pytest.raises(PackageNotInstalledError, match=r"^no-such-thing-here is not installed: only approved packages") as caught:
        report(arguments)
    assert caught.value._render_traceback_() == [f"PackageNotInstalledError: {caught.value}"]


@pytest.mark.parametrize("arguments", ["", "-r requirements.txt", "--help"])
def test_a_line_that_names_none_asks_for_nothing(arguments: str) -> None:
    assert report(arguments) == "nothing to install"
