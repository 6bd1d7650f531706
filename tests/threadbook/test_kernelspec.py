from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from threadbook.__main__ import main


def test_is_installed_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernelspec", "install", "--prefix", str(tmp_path)]) == 0
    target = tmp_path / "share" / "jupyter" / "kernels" / "threadbook"
    assert capsys.readouterr().out == f"{target}\n"
    spec = json.loads((target / "kernel.json").read_text())
    assert spec["display_name"] == "Threadbook"
    assert spec["interrupt_mode"] == "signal"
    assert "{connection_file}" in spec["argv"]
    assert spec["metadata"] == {"kernel_provisioner": {"provisioner_name": "threadbook-provisioner"}, "debugger": False}
    assert stat.S_IMODE(target.stat().st_mode) & 0o500 == 0o500


def test_can_be_installed_again(tmp_path: Path) -> None:
    for _ in range(2):
        assert main(["kernelspec", "install", "--prefix", str(tmp_path)]) == 0


def test_goes_into_this_environment_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert main(["kernelspec", "install"]) == 0
    assert capsys.readouterr().out.startswith(str(tmp_path))


def test_goes_into_the_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    assert main(["kernelspec", "install", "--user"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'kernels' / 'threadbook'}\n"


def test_says_when_it_cannot_be_put_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "share").touch()
    assert main(["kernelspec", "install", "--prefix", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert said.startswith("threadbook: kernelspec not installed (")
    assert said.count("\n") == 1


def test_only_one_place_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernelspec", "install", "--user", "--sys-prefix"]) == 2
    assert "not allowed with" in capsys.readouterr().err
