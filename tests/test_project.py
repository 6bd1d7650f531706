"""What holds for the project as a whole: its files agree, its modules act only when told."""

from __future__ import annotations

import ast
import json
import socket
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml

from kernel_manager.config import Settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("kernel_manager", "bot", "notebooks_export", "threadbook")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
# `__main__` acts when imported: that is what it is for. `kernelside` runs in the kernel environment.
IMPORTABLE = [path for path in SOURCES if path.name != "__main__.py" and "kernelside" not in path.parts]


class TestCondaFile:
    def test_lists_the_requirements_of_the_project_and_the_project(self) -> None:
        (pip,) = (item["pip"] for item in CONDA["dependencies"] if isinstance(item, dict))
        assert pip == [*PROJECT["project"]["dependencies"], "-e ."]

    def test_allows_the_same_versions_of_python(self) -> None:
        assert f"python {PROJECT['project']['requires-python']}" in CONDA["dependencies"]

    def test_names_the_environment_after_the_project(self) -> None:
        assert CONDA["name"] == PROJECT["project"]["name"] == "threadbook"


class TestRequirements:
    @pytest.mark.parametrize("requirement", PROJECT["project"]["dependencies"])
    def test_is_bounded_on_both_sides(self, requirement: str) -> None:
        assert ">=" in requirement
        assert ",<" in requirement

    def test_bootstrap_asks_for_the_same_uv(self) -> None:
        (requirement,) = (item for item in PROJECT["project"]["dependencies"] if item.startswith("uv>"))
        assert f'UV_REQUIREMENT = "{requirement}"' in (ROOT / "tools" / "bootstrap.py").read_text(encoding="utf-8")

    def test_no_file_of_the_project_depends_on_where_packages_come_from(self) -> None:
        for name in ("pyproject.toml", "environment.yml", "Makefile"):
            assert "https://" not in (ROOT / name).read_text(encoding="utf-8")


class TestEntryPoints:
    @pytest.mark.parametrize(("name", "value"), PROJECT["project"]["scripts"].items())
    def test_command_resolves(self, name: str, value: str) -> None:
        assert callable(EntryPoint(name, value, "console_scripts").load())

    def test_provisioner_resolves_to_one(self) -> None:
        from jupyter_client.provisioning import KernelProvisionerBase

        points = PROJECT["project"]["entry-points"]["jupyter_client.kernel_provisioners"]
        (loaded,) = (EntryPoint(name, value, "").load() for name, value in points.items())
        assert issubclass(loaded, KernelProvisionerBase)


class TestSources:
    @pytest.mark.parametrize("path", SOURCES, ids=module_name)
    def test_has_a_docstring(self, path: Path) -> None:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    @pytest.mark.parametrize("package", PACKAGES)
    def test_package_is_marked_as_typed(self, package: str) -> None:
        assert (ROOT / package / "py.typed").exists()

    def test_what_both_sides_share_needs_nothing_installed(self) -> None:
        """The service reads it too, and the kernel environment has other packages than the service's."""
        needed = {name.partition(".")[0] for name in imports_at_top(ROOT / "kernel_manager" / "kernelside" / "protocol.py")}
        assert needed <= sys.stdlib_module_names


def imports_at_top(path: Path) -> list[str]:
    names = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return names


WATCHER = """
import importlib, json, logging, os, signal, sys, threading

def seen():
    return {
        "argv": sys.argv,
        "environ": dict(os.environ),
        "folder": os.getcwd(),
        "handlers": [repr(handler) for handler in logging.getLogger().handlers],
        "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__],
        "level": logging.getLogger().level,
        "listing": sorted(os.listdir()),
        "signals": {str(number): str(signal.getsignal(number)) for number in signal.valid_signals()},
        "streams": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
        "tasks": len(os.listdir("/proc/self/task")),
        "threads": [thread.name for thread in threading.enumerate()],
    }

modules = json.load(sys.stdin)
changes = {}
for module in modules:
    before = seen()
    importlib.import_module(module)
    after = seen()
    changes[module] = [key for key in before if before[key] != after[key]]
print(json.dumps({module: changed for module, changed in changes.items() if changed}))
"""


#: discord.py imports audioop for voice, which nothing here uses.
DISCORD_WARNS = ("-W", "ignore:'audioop' is deprecated:DeprecationWarning")


def test_importing_never_acts(tmp_path: Path) -> None:
    """No thread, handler, signal, file or output: in a process of its own, as this one has seen everything already."""
    modules = [module_name(path) for path in IMPORTABLE]
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            *DISCORD_WARNS,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{WATCHER}",
            "an",
            "argument",
        ],
        input=json.dumps(modules),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == {}


class TestTheTestsThemselves:
    def test_have_no_network(self) -> None:
        with pytest.raises(pytest.fail.Exception, match="no network"):
            socket.create_connection(("192.0.2.1", 9), timeout=0.01)
        with pytest.raises(pytest.fail.Exception, match="no network"):
            socket.getaddrinfo("example.invalid", 80)

    def test_have_the_loopback(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]) as client:
            assert client.getpeername() == server.getsockname()

    def test_see_no_setting_of_this_machine(self, tmp_path: Path) -> None:
        settings = Settings.load()
        assert settings.data_dir.is_relative_to(tmp_path)
        assert settings.model_fields_set == {"data_dir", "environments_dir"}
