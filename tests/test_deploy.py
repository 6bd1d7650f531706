"""What is in ``deploy/`` agrees with the rest: as far as that can be told without systemd and Docker running."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from kernel_manager.config import Settings
from threadbook.commands import build_parser

ROOT = Path(__file__).resolve().parent.parent
UNIT = (ROOT / "deploy" / "threadbook.service").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
SETTINGS = {name.upper() for name in Settings.model_fields}


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(UNIT)
    return parser


def instructions(name: str) -> list[str]:
    """What follows an instruction of the Dockerfile, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return [line.removeprefix(f"{name} ") for line in joined.splitlines() if line.startswith(f"{name} ")]


class TestUnit:
    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
    def test_systemd_finds_nothing_wrong_with_it(self, tmp_path: Path) -> None:
        # what it starts is not installed here
        here = re.sub(r"/opt/threadbook/\S+", "/bin/true", UNIT)
        (tmp_path / "threadbook.service").write_text(here)
        command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "threadbook.service")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert [line for line in done.stderr.splitlines() if "threadbook" in line] == []

    @pytest.mark.parametrize("name", ["ExecStart", "ExecStartPre"])
    def test_the_commands_that_it_starts_exist(self, name: str) -> None:
        program, *arguments = shlex.split(unit()["Service"][name])
        assert Path(program).name == "threadbook"
        build_parser().parse_args(arguments)

    def test_it_sets_settings_that_exist_and_folders_that_systemd_makes(self) -> None:
        service = unit()["Service"]
        values = dict(item.split("=", 1) for item in service["Environment"].split())
        assert set(values) <= SETTINGS
        assert values["DATA_DIR"] == f"/var/lib/{service['StateDirectory']}"
        assert values["RUNTIME_DIR"] == f"/run/{service['RuntimeDirectory']}"

    def test_kernels_outlive_a_restart_and_have_control_groups(self) -> None:
        service = unit()["Service"]
        assert (service["KillMode"], service["RuntimeDirectoryPreserve"], service["Delegate"]) == ("process", "yes", "yes")

    def test_it_takes_nothing_away_that_the_jail_is_made_of(self) -> None:
        names = set(unit()["Service"])
        assert not names & {"RestrictNamespaces", "ProtectProc", "ProcSubset", "ProtectKernelTunables", "SystemCallFilter"}


def test_the_example_of_settings_names_settings() -> None:
    text = (ROOT / "deploy" / "threadbook.env").read_text(encoding="utf-8")
    names = re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)
    assert "DISCORD_TOKEN" in names
    assert set(names) <= SETTINGS


class TestDockerfile:
    def test_everything_that_it_copies_exists_and_is_not_ignored(self) -> None:
        allowed = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
        for line in instructions("COPY"):
            if not line.startswith("--from"):
                for source in line.split()[:-1]:
                    assert (ROOT / source).exists()
                    assert f"!{source}" in allowed

    def test_it_copies_every_package(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        copied = {line.split()[0] for line in instructions("COPY")}
        assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied

    def test_its_python_is_one_that_the_project_allows(self) -> None:
        versions = {tuple(map(int, match)) for match in re.findall(r"^FROM python:(\d+)\.(\d+)", DOCKERFILE, re.MULTILINE)}
        assert len(versions) == 1
        assert (3, 11) <= versions.pop() < (3, 14)

    def test_it_sets_settings_that_exist(self) -> None:
        names = {pair.split("=")[0] for line in instructions("ENV") for pair in line.split()}
        assert names - {"PATH", "PYTHONUNBUFFERED"} <= SETTINGS

    def test_it_ends_by_the_signal_that_the_bot_listens_to_and_asks_where_it_answers(self) -> None:
        assert instructions("STOPSIGNAL") == ["SIGTERM"]
        (port,) = re.findall(r"METRICS_PORT=(\d+)", DOCKERFILE)
        assert f"127.0.0.1:{port}/metrics" in instructions("HEALTHCHECK")[0]

    def test_nobody_is_root_in_it(self) -> None:
        assert instructions("USER") == ["threadbook"]
