"""Environments as uv really builds them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_manager.errors import EnvironmentBuildError
from kernel_manager.packages.base import Base
from kernel_manager.packages.environments import Environment, Environments
from kernel_manager.packages.uv import find_uv
from tests.wheels import make_wheel

pytestmark = pytest.mark.slow


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is the only place where uv looks."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    make_wheel(folder, "tiny_module", "ANSWER = 42\n")
    return folder


class TestBuildingOffline:
    @pytest.mark.usefixtures("shelf")
    def test_makes_a_python_with_the_packages_their_bytecode_and_nothing_of_the_service(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        environment = Environments(tmp_path / "e", base=Base(("tiny-module>=1,<2",), preload=("tiny_module",))).build()
        program = "import importlib.util, sys, tiny_module; print(tiny_module.__cached__, importlib.util.find_spec('pydantic'))"
        cached, _, service = run(environment.python, program).partition(" ")
        assert Path(cached).is_file()
        assert Path(cached).is_relative_to(environment.root)
        assert service == "None"
        assert environment.lock.read_text() == "tiny-module==1.0\n"
        assert environment.package_count == 1

    @pytest.mark.usefixtures("shelf")
    def test_uses_the_python_of_the_service_even_from_inside_a_virtual_environment(self, tmp_path: Path) -> None:
        environment = Environments(tmp_path / "e", base=Base(("tiny-module",))).build()
        program = "import sys; print(sys.version_info[:2], sys.base_prefix)"
        assert run(environment.python, program) == f"{sys.version_info[:2]} {sys.base_prefix}"

    @pytest.mark.usefixtures("shelf")
    def test_a_package_that_is_nowhere_changes_nothing(self, tmp_path: Path) -> None:
        environments = Environments(tmp_path / "e", base=Base(("tiny-module",)))
        before = environments.build()
        changed = Environments(tmp_path / "e", base=Base(("no-such-package",)))
        with pytest.raises(EnvironmentBuildError, match=r"^kernel environment not built: .*threadbook env build`$"):
            changed.build()
        assert changed.current() == before
        assert len(list(environments.root.glob("g-*"))) == 1

    def test_a_package_that_would_have_to_be_compiled_is_refused(self, tmp_path: Path, shelf: Path) -> None:
        (shelf / "source_only-1.0").mkdir()
        (shelf / "source_only-1.0" / "pyproject.toml").write_text('[project]\nname = "source-only"\nversion = "1.0"\n')
        shutil.make_archive(str(shelf / "source_only-1.0"), "gztar", shelf, "source_only-1.0")
        with pytest.raises(EnvironmentBuildError, match="wheels"):
            Environments(tmp_path / "e", base=Base(("source-only",))).build()


class TestTheKernelEnvironment:
    def test_is_whole_and_fresh(self, kernel_environment: Environment) -> None:
        environments = Environments(kernel_environment.root.parent)
        assert environments.current() == kernel_environment
        assert environments.is_fresh(kernel_environment)

    def test_imports_what_it_is_for(self, kernel_python: Path) -> None:
        program = "import ipykernel, matplotlib, numpy, openpyxl, pandas, PIL, pyarrow, python_calamine; print('fine')"
        assert run(kernel_python, program) == "fine"

    def test_has_the_bytecode_of_all_that_it_imports(self, kernel_python: Path) -> None:
        program = (
            "import os, sys, ipykernel, matplotlib.pyplot, numpy, pandas\n"
            "inside = [m for m in list(sys.modules.values()) if getattr(m, '__file__', None) and sys.prefix in m.__file__]\n"
            "print([m.__name__ for m in inside if m.__file__.endswith('.py') and not os.path.exists(m.__cached__ or '')])"
        )
        assert run(kernel_python, program) == "[]"

    def test_spares_kernels_the_search_for_fonts(self, kernel_environment: Environment) -> None:
        assert list((kernel_environment.root / "cache" / "matplotlib").glob("fontlist*.json"))

    def test_satisfies_the_base_requirements(self, kernel_environment: Environment) -> None:
        done = subprocess.run(
            [find_uv(), "pip", "check", "--python", kernel_environment.python], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        locked = {line.partition("==")[0] for line in kernel_environment.lock.read_text().splitlines()}
        assert {requirement.partition(">=")[0] for requirement in Base.load().requirements} <= locked
        assert kernel_environment.package_count == len(locked)


def run(python: Path, program: str) -> str:
    done = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
