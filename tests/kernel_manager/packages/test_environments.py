"""The life of an environment, with a uv that makes small things at once."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kernel_manager.errors import EnvironmentBuildError, StorageError
from kernel_manager.packages.base import Base
from kernel_manager.packages.environments import LOCK, MANIFEST, Environment, Environments

BASE = Base(requirements=("tiny>=1,<2", "small"), preload=("json",))


class FakeUv:
    """A ``uv`` for one test: it makes a folder with a Python in it and says it installed two packages."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "uv"
        self.log = folder / "uv.log"
        self.gate = folder / "gate"
        self.behave()

    def behave(self, on_install: str = "", on_venv: str = "") -> None:
        """From now on also do ``on_install`` (shell commands) when asked to install."""
        self.path.write_text(
            textwrap.dedent(
                f"""\
                #!/bin/sh
                echo "$*" >> {shlex.quote(str(self.log))}
                for last; do :; done
                case "$1 $2" in
                    venv*) mkdir -p "$last/bin" && ln -s {shlex.quote(sys.executable)} "$last/bin/python"; {on_venv or ":"};;
                    "pip install") {on_install or ":"};;
                    "pip freeze") echo tiny==1.2; echo small==0.1;;
                esac
                """
            )
        )
        self.path.chmod(0o755)

    def wait_at_gate(self) -> None:
        """Make the next installation wait until :meth:`open_gate`."""
        os.mkfifo(self.gate)
        self.behave(on_install=f"cat {shlex.quote(str(self.gate))}")

    def open_gate(self) -> None:
        """Let the installation that waits go on; returns when it does."""
        with self.gate.open("w"):
            pass

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def uv(tmp_path: Path) -> FakeUv:
    return FakeUv(tmp_path)


@pytest.fixture
def environments(tmp_path: Path, uv: FakeUv) -> Environments:
    return Environments(tmp_path / "environments", base=BASE, uv=uv.path)


def generations(environments: Environments) -> list[str]:
    return sorted(path.name for path in environments.root.glob("g-*"))


class TestBase:
    def test_of_the_package_has_what_kernels_need(self) -> None:
        base = Base.load()
        assert {"ipykernel", "matplotlib", "numpy", "pandas"} <= {item.partition(">=")[0] for item in base.requirements}
        assert base.preload == ("numpy", "pandas", "matplotlib.pyplot")

    def test_bounds_every_requirement_on_both_sides(self) -> None:
        assert [item for item in Base.load().requirements if ">=" not in item or ",<" not in item] == []

    def test_digest_follows_the_requirements_but_not_their_order(self) -> None:
        assert Base(("a", "b")).digest == Base(("b", "a")).digest
        assert Base(("a", "b")).digest != Base(("a", "b>1")).digest

    def test_digest_follows_what_is_preloaded_as_the_manifest_carries_it(self) -> None:
        assert Base(("a",), preload=("a",)).digest != Base(("a",), preload=("b",)).digest

    def test_digest_follows_the_version_of_python(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = BASE.digest
        monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-399")
        assert BASE.digest != before


class TestBuilding:
    def test_makes_the_current_environment(self, environments: Environments) -> None:
        assert environments.current() is None
        built = environments.build()
        assert environments.current() == built
        assert built.root == environments.root / built.generation
        assert built.python == built.root / "bin" / "python"
        assert built.package_count == 2
        assert built.lock.read_text() == "small==0.1\ntiny==1.2\n"
        assert environments.is_fresh(built)

    def test_asks_uv_for_compiled_wheels_of_the_base(self, environments: Environments, uv: FakeUv) -> None:
        python = environments.build().python
        assert f"pip install --python {python} --compile-bytecode --no-build tiny>=1,<2 small" in uv.calls()

    def test_notes_for_others_what_it_was_built_from(self, environments: Environments) -> None:
        manifest = json.loads((environments.build().root / MANIFEST).read_text())
        assert manifest["requirements"] == ["tiny>=1,<2", "small"]
        assert manifest["preload"] == ["json"]

    def test_leaves_the_generation_before_in_place(self, environments: Environments) -> None:
        first, second = environments.build(), environments.build()
        assert environments.current() == second != first
        assert Environment.from_root(first.root) == first

    def test_tells_each_step(self, environments: Environments) -> None:
        lines: list[str] = []
        environments.build(lines.append)
        assert [line.split()[0] for line in lines] == ["creating", "installing", "checking"]

    def test_shows_what_uv_says_when_asked(
        self, environments: Environments, uv: FakeUv, capsys: pytest.CaptureFixture[str]
    ) -> None:
        uv.behave(on_install="echo Resolved 2 packages >&2")
        environments.build()
        assert capsys.readouterr().err == ""
        environments.build(show_output=True)
        assert capsys.readouterr().err == "Resolved 2 packages\n"

    def test_removes_what_interrupted_builds_left_and_nothing_else(self, environments: Environments) -> None:
        whole = environments.build()
        (environments.root / "g-20260101T000000-abcdef" / "bin").mkdir(parents=True)
        (environments.root / "notes").mkdir()
        built = environments.build()
        assert generations(environments) == sorted([whole.generation, built.generation])
        assert (environments.root / "notes").is_dir()


class TestFailing:
    def test_changes_nothing_and_says_why_in_one_line(self, environments: Environments, uv: FakeUv) -> None:
        before = environments.build()
        uv.behave(on_install="echo 'error: No space left on device (os error 28)' >&2; exit 1")
        with pytest.raises(EnvironmentBuildError) as caught:
            environments.build()
        assert str(caught.value) == (
            "kernel environment not built: the disk is full; free some space, or set ENVIRONMENTS_DIR "
            "to a folder on another disk, then run `threadbook env build`"
        )
        assert environments.current() == before
        assert generations(environments) == [before.generation]

    def test_packages_that_do_not_import_never_become_current(self, tmp_path: Path, uv: FakeUv) -> None:
        environments = Environments(tmp_path / "e", base=Base(("x",), preload=("no_such_module",)), uv=uv.path)
        with pytest.raises(EnvironmentBuildError, match=r"do not import .*no_such_module"):
            environments.build()
        assert generations(environments) == []

    def test_a_uv_that_cannot_be_started_is_named(self, tmp_path: Path) -> None:
        environments = Environments(tmp_path / "e", base=BASE, uv=tmp_path / "missing-uv")
        with pytest.raises(EnvironmentBuildError, match="missing-uv"):
            environments.build()

    def test_a_folder_that_cannot_be_made_names_the_setting(self, tmp_path: Path, uv: FakeUv) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match=r"file/environments: .*; set ENVIRONMENTS_DIR"):
            Environments(tmp_path / "file" / "environments", base=BASE, uv=uv.path).ensure()

    def test_an_interrupt_leaves_nothing_half_made(self, environments: Environments, uv: FakeUv) -> None:
        def interrupt(line: str) -> None:
            if line.startswith("installing"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            environments.build(interrupt)
        assert generations(environments) == []


class TestCurrent:
    @pytest.mark.parametrize(
        "manifest", ["", "{", "[]", "null", '{"requirements_digest": "x"}', '{"package_count": "many", "built_at": ""}']
    )
    def test_is_none_when_its_manifest_is_not_whole(self, environments: Environments, manifest: str) -> None:
        (environments.build().root / MANIFEST).write_text(manifest)
        assert environments.current() is None

    def test_is_none_when_its_python_is_gone(self, environments: Environments) -> None:
        python = environments.build().python
        python.unlink()
        python.symlink_to("/nonexistent/python3")
        assert environments.current() is None

    def test_is_none_when_the_link_leads_elsewhere(self, environments: Environments, tmp_path: Path) -> None:
        built = environments.build()
        built.root.rename(tmp_path / "elsewhere")
        (environments.root / "current").unlink()
        (environments.root / "current").symlink_to(tmp_path / "elsewhere")
        assert environments.current() is None

    def test_an_unwhole_generation_is_an_error_that_says_what_to_run(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="threadbook env build"):
            Environment.from_root(tmp_path)


class TestEnsuring:
    def test_builds_once(self, environments: Environments, uv: FakeUv) -> None:
        first = environments.ensure()
        calls = uv.calls()
        assert environments.ensure() == first
        assert uv.calls() == calls

    def test_builds_anew_when_the_requirements_change(self, environments: Environments, uv: FakeUv) -> None:
        first = environments.ensure()
        changed = Environments(environments.root, base=Base(("tiny>=2",)), uv=uv.path)
        second = changed.ensure()
        assert second != first
        assert changed.is_fresh(second)
        assert not changed.is_fresh(first)

    def test_builds_anew_when_the_current_one_is_broken(self, environments: Environments) -> None:
        first = environments.ensure()
        first.python.unlink()
        assert environments.ensure().generation != first.generation

    @pytest.mark.parametrize("method", ["ensure", "build"])
    def test_a_second_builder_waits_and_takes_what_the_first_built(
        self, environments: Environments, uv: FakeUv, method: str
    ) -> None:
        uv.wait_at_gate()
        building, waiting = threading.Event(), threading.Event()
        with ThreadPoolExecutor() as pool:
            first = pool.submit(environments.ensure, lambda line: building.set() if "installing" in line else None)
            assert building.wait(20)
            second = pool.submit(getattr(environments, method), lambda line: waiting.set() if "waiting" in line else None)
            assert waiting.wait(20)
            uv.open_gate()
            assert first.result(20) == second.result(20)
        assert len(generations(environments)) == 1

    def test_the_uv_of_a_killed_builder_keeps_the_lock_until_it_ends(self, environments: Environments, uv: FakeUv) -> None:
        uv.wait_at_gate()
        program = (
            "import sys; from pathlib import Path; from kernel_manager.packages.base import Base\n"
            "from kernel_manager.packages.environments import Environments\n"
            f"Environments(Path({str(environments.root)!r}), base=Base(('x',)), uv=Path({str(uv.path)!r})).build(\n"
            "    lambda line: print(line, flush=True))"
        )
        source = str(Path(__file__).resolve().parents[3])
        builder = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source}
        )
        with builder:
            assert builder.stdout is not None
            while "installing" not in builder.stdout.readline():
                assert builder.poll() is None
            with uv.gate.open("w"):  # uv has the gate open by now, so it lives
                builder.send_signal(signal.SIGKILL)
                builder.wait()
                with (environments.root / "build.lock").open("r+") as lock, pytest.raises(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        uv.behave()
        built = environments.ensure()
        assert generations(environments) == [built.generation]


class TestEnsuringInALoop:
    async def test_builds_without_blocking_and_reports_in_the_loop(self, environments: Environments, uv: FakeUv) -> None:
        uv.wait_at_gate()
        installing = asyncio.Event()
        task = asyncio.create_task(
            environments.ensure_async(lambda line: installing.set() if line.startswith("installing") else None)
        )
        await installing.wait()
        await asyncio.to_thread(uv.open_gate)
        built = await task
        assert built == environments.current()
        assert await environments.ensure_async() == built

    async def test_cancelling_ends_the_build(self, environments: Environments, uv: FakeUv) -> None:
        uv.wait_at_gate()
        installing = asyncio.Event()
        task = asyncio.create_task(
            environments.ensure_async(lambda line: installing.set() if line.startswith("installing") else None)
        )
        await installing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert generations(environments) == []
        uv.behave()
        assert (await environments.ensure_async()).package_count == 2

    async def test_cancelling_ends_the_wait_for_another_builder(self, environments: Environments) -> None:
        environments.root.mkdir()
        waiting = asyncio.Event()
        with (environments.root / "build.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            task = asyncio.create_task(environments.ensure_async(lambda line: waiting.set()))
            await waiting.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert environments.current() is None

    async def test_a_failure_reaches_the_caller(self, environments: Environments, uv: FakeUv) -> None:
        uv.behave(on_install="echo 'error: dns error' >&2; exit 2")
        with pytest.raises(EnvironmentBuildError, match="index cannot be reached"):
            await environments.ensure_async()


class TestStatus:
    def test_before_the_first_build(self, environments: Environments) -> None:
        status = environments.status()
        assert status["python"] is None
        assert status["package_count"] == 0
        assert status["fresh"] is False

    def test_of_a_built_one_is_ready_for_json(self, environments: Environments) -> None:
        built = environments.build()
        (built.root / "data").write_bytes(bytes(300_000))
        assert json.loads(json.dumps(environments.status())) == {
            "python": str(built.python),
            "generation": built.generation,
            "package_count": 2,
            "fresh": True,
            "built_at": built.built_at,
            "size_mb": 0.3,
            "root": str(environments.root),
            "failure": None,
        }

    def test_the_lock_lies_in_the_generation(self, environments: Environments) -> None:
        built = environments.build()
        assert built.lock == built.root / LOCK
