from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernel_manager.packages.approved import Approved, ApprovedPackages
from kernel_manager.packages.desk import PackageDesk
from kernel_manager.packages.installer import InstallLimits
from kernel_manager.packages.overlay import OverlayContent
from tests.threadbook.fakes import GENERATION, FakeInterpreter
from threadbook.__main__ import main


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageDesk:
    approved = ApprovedPackages([Approved("seaborn", ("seaborn",))])
    made = PackageDesk(tmp_path / "overlays", tmp_path / "environments", approved, InstallLimits(1_000, 10))
    FakeInterpreter(tmp_path, desk=made).serve(monkeypatch)
    return made


def fill(desk: PackageDesk, user: str) -> None:
    overlay = desk.overlay(user, GENERATION)
    overlay.prepare()
    version = overlay.new_version()
    OverlayContent(("seaborn>=0.13",), {"seaborn": "0.13.2", "patsy": "1.0"}, 2_500_000).write(version)
    overlay.switch(version)


def test_list_names_what_was_asked_for_and_what_came_along(desk: PackageDesk, capsys: pytest.CaptureFixture[str]) -> None:
    fill(desk, "ada")
    assert main(["packages", "list", "--user", "ada"]) == 0
    assert capsys.readouterr().out.splitlines() == ["patsy    1.0     needed by another", "seaborn  0.13.2"]
    assert main(["packages", "list", "--user", "ada", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "generation": GENERATION,
        "requested": ["seaborn>=0.13"],
        "packages": {"seaborn": "0.13.2", "patsy": "1.0"},
        "size_mb": 2.5,
    }


@pytest.mark.usefixtures("desk")
def test_list_says_that_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["packages", "list"]) == 0
    assert "nothing was installed for local" in capsys.readouterr().out


def test_reset_removes_the_packages_of_one_user_only(desk: PackageDesk, capsys: pytest.CaptureFixture[str]) -> None:
    fill(desk, "ada")
    fill(desk, "bob")
    assert main(["packages", "reset", "--user", "ada"]) == 0
    assert capsys.readouterr().out == "removed 2 packages of ada\n"
    assert desk.overlay("ada", GENERATION).content() == OverlayContent()
    assert desk.overlay("bob", GENERATION).content().packages


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("name", ["nosuchthing", "git+https://example.invalid/x", "../x"])
def test_install_refuses_in_one_line_what_is_not_approved(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["packages", "install", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("desk")
def test_install_that_cannot_be_done_is_a_failure_of_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["packages", "install", "seaborn"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "threadbook: looking for seaborn"
    assert "is gone" in lines[1]
