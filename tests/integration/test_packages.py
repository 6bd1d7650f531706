"""Packages that cells lack, with real kernels; the wheels are made here, and no other place is looked at."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from bot.agent import events as agent_events
from bot.agent.agent import Agent, AgentOptions, Message
from bot.agent.assistant import Assistant
from bot.agent.models.scripted import Reply, ScriptedClient, last_answer
from kernel_manager import CellFinished, CellStarted, Event, OutputAdded, PackagesInstalled, PackagesInstalling, open_interpreter
from kernel_manager.config import Settings
from kernel_manager.packages.desk import Place, Shortage
from kernel_manager.packages.environments import Environment
from kernel_manager.packages.import_errors import Lack
from kernel_manager.packages.uv import PackageSource, find_uv
from kernel_manager.sessions.session import Session
from tests.integration.conftest import OwnSettings, folder_for_kernels, make_settings
from tests.integration.support import printed, value
from tests.wheels import make_wheel

APPROVED = """
replace = true
[packages]
tiny = { imports = ["tiny"] }
needs-tiny = { imports = ["needs_tiny"] }
space-one = { imports = ["space.one"] }
pyxlsb = { imports = ["pyxlsb"] }
wants-old-pandas = { imports = ["wants_old_pandas"] }
shy-package = { imports = ["shy"] }
pandas = { imports = ["pandas"] }
absent = { imports = ["absent"] }
"""


class Shop:
    """Folders of kernels, wheels and uv's cache, for the tests of this module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.approved = folder / "approved.toml"
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        self.approved.write_text(APPROVED)
        make_wheel(self.wheels, "tiny")
        make_wheel(self.wheels, "needs-tiny", "import tiny\nX = tiny.__version__\n", requires=["tiny"])
        make_wheel(self.wheels, "space-one", files={"space/one/__init__.py": "X = 1\n"})
        reader = "__version__ = '9.0'\nclass Workbook: ...\ndef open_workbook(name): raise ValueError(name)\n"
        make_wheel(self.wheels, "pyxlsb", version="9.0", source=reader)
        make_wheel(self.wheels, "wants-old-pandas", requires=["pandas<2"])
        make_wheel(self.wheels, "pandas", version="1.5.3")
        make_wheel(self.wheels, "shy-package", files={"shy.py": "X = 1\n"})

    @property
    def source(self) -> PackageSource:
        return PackageSource(("--offline", "--no-index", "--find-links", str(self.wheels)))


@pytest.fixture(scope="module")
def shop(kernel_environment: Environment) -> Iterator[Shop]:
    with folder_for_kernels(kernel_environment) as folder:
        yield Shop(folder)


@pytest.fixture
def settings(shop: Shop, kernel_environment: Environment, own_settings: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("UV_CACHE_DIR", str(shop.folder / "cache"))
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    return make_settings(shop.folder, kernel_environment, approved_packages=shop.approved)


@asynccontextmanager
async def session_of(settings: Settings, source: PackageSource, user: str, name: str = "s") -> AsyncIterator[Session]:
    async with open_interpreter(settings, source=source) as interpreter:
        session = await interpreter.session(user, name)
        yield session
        await session.stop()


@pytest.fixture
async def session(settings: Settings, shop: Shop, request: pytest.FixtureRequest) -> AsyncIterator[Session]:
    async with session_of(settings, shop.source, f"user-{abs(hash(request.node.name))}") as made:
        yield made


async def events_of(session: Session, code: str) -> list[Event]:
    return [event async for event in session.run(code)]


def said(result_outputs: list[dict[str, str]]) -> str:
    return "".join(
        output["text"] for output in result_outputs if output["output_type"] == "stream" and output["name"] == "stderr"
    )


class TestBeforeACell:
    async def test_what_it_imports_is_installed_in_a_live_kernel_and_the_variables_stay(self, session: Session) -> None:
        await session.execute("x = 41")
        before = (await session.info()).kernel_pid
        result = await session.execute("import needs_tiny\n(x, needs_tiny.X)")
        assert value(result) == "(41, '1.0')"
        assert result.installed_packages == ["needs-tiny==1.0"]
        assert (await session.info()).kernel_pid == before
        again = await session.execute("import needs_tiny, tiny\nx")
        assert (value(again), again.installed_packages) == ("41", [])

    async def test_progress_comes_before_the_cell_and_outside_of_its_clock(self, session: Session) -> None:
        events = await events_of(session, "def f():\n    from space import one\n    return one.X\nf()")
        kinds = [type(event) for event in events]
        assert kinds[:3] == [PackagesInstalling, PackagesInstalling, PackagesInstalled]
        assert kinds.index(PackagesInstalled) < kinds.index(CellStarted)
        assert events[0] == PackagesInstalling(("space-one",), "looking for space-one")
        assert events[2] == PackagesInstalled(("space-one==1.0",), ("space-one==1.0",))
        finished = events[-1]
        assert isinstance(finished, CellFinished)
        assert value(finished.result) == "1"

    async def test_the_timeout_of_a_cell_does_not_count_installs(self, settings: Settings, shop: Shop, tmp_path: Path) -> None:
        slow = tmp_path / "uv"
        slow.write_text(f'#!/bin/sh\nsleep 0.6\nexec {shlex.quote(str(find_uv()))} "$@"\n')
        slow.chmod(0o755)
        async with session_of(settings, PackageSource(shop.source.options, slow), "slow") as session:
            await session.execute("1")
            result = await session.execute("import tiny", timeout=1)
        assert result.status == "ok"
        assert result.duration_s < 1

    @pytest.mark.parametrize("line", ["%pip install -q tiny", "!pip install tiny", "!python -m pip install tiny"])
    async def test_lines_that_ask_for_packages_work_without_pip(self, session: Session, line: str) -> None:
        result = await session.execute(f"{line}\nimport tiny\nprint(tiny.__version__)")
        assert result.status == "ok", result.cause
        assert printed(result) == "tiny 1.0 is installed\n1.0\n"
        assert result.installed_packages == ["tiny==1.0"]

    async def test_such_a_line_alone_needs_no_sign_before_it(self, session: Session) -> None:
        assert printed(await session.execute("pip install tiny")) == "tiny 1.0 is installed\n"

    async def test_packages_add_to_the_environment_and_never_shadow_it(self, session: Session) -> None:
        result = await session.execute(
            "import sys, tiny, pandas\n(sys.path[-1] in tiny.__file__, sys.path[-1] in pandas.__file__)"
        )
        assert value(result) == "(True, False)"

    async def test_a_module_of_the_working_folder_comes_first(self, session: Session) -> None:
        await session.execute("open('tiny.py', 'w').write('X = 7\\n')")
        result = await session.execute("import tiny\ntiny.X")
        assert (value(result), result.installed_packages) == ("7", [])

    async def test_sessions_of_one_user_share_what_is_installed(self, settings: Settings, shop: Shop) -> None:
        async with open_interpreter(settings, source=shop.source) as interpreter:
            one, two = await interpreter.session("both", "one"), await interpreter.session("both", "two")
            await asyncio.gather(one.execute("1"), two.execute("1"))
            results = await asyncio.gather(*(session.execute("import tiny\ntiny.__version__") for session in (one, two)))
            assert [value(result) for result in results] == ["'1.0'", "'1.0'"]
            other = await interpreter.session("somebody else", "one")
            result = await other.execute("import importlib.util\nimportlib.util.find_spec('ti' + 'ny') is None")
            assert value(result) == "True"
            for session in (one, two, other):
                await session.stop()


class TestAfterAFailure:
    async def test_a_cell_without_effects_runs_again_as_if_nothing_had_been(self, session: Session) -> None:
        await session.execute("open('late.py', 'w').write('import shy\\nX = shy.X\\n')")
        events = await events_of(session, '"""A docstring."""\nimport os\nimport late\nlate.X')
        finished = events[-1]
        assert isinstance(finished, CellFinished)
        assert (finished.result.status, value(finished.result)) == ("ok", "1")
        assert finished.result.installed_packages == ["shy-package==1.0"]
        assert not any(isinstance(event, OutputAdded) and event.output["output_type"] == "error" for event in events)
        cells = session.read_history().cells
        assert [(cell.status, cell.installed_packages) for cell in cells] == [("ok", []), ("ok", ["shy-package==1.0"])]

    async def test_effects_never_happen_twice(self, session: Session) -> None:
        code = "with open('log', 'a') as log:\n    log.write('x')\n__builtins__.__import__('sh' + 'y')"
        result = await session.execute(code)
        assert (result.status, result.installed_packages) == ("error", ["shy-package==1.0"])
        assert "shy-package is installed now" in said(result.outputs)
        assert "run it again" in said(result.outputs)
        assert value(await session.execute("__builtins__.__import__('sh' + 'y').X, open('log').read()")) == "(1, 'x')"

    async def test_a_package_that_another_session_installed_meanwhile_is_enough(self, settings: Settings, shop: Shop) -> None:
        async with open_interpreter(settings, source=shop.source) as interpreter:
            sessions = [await interpreter.session("pair", name) for name in ("one", "two")]
            for session in sessions:
                await session.execute("open('late.py', 'w').write('import shy\\nX = shy.X\\n')")
            results = await asyncio.gather(*(session.execute("import late\nlate.X") for session in sessions))
            assert [value(result) for result in results] == ["1", "1"]
            assert sorted(len(result.installed_packages) for result in results) == [0, 1]
            for session in sessions:
                await session.stop()

    async def test_one_that_came_between_the_error_and_the_look_is_enough(
        self, settings: Settings, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_interpreter(settings, source=shop.source) as interpreter:
            desk, session = interpreter.packages, await interpreter.session("late", "s")
            look = desk.missing_after

            def look_later(lack: Lack, place: Place) -> Shortage:
                desk._installer.install(desk.overlay(place.user, place.generation), desk.missing_by_name(["shy-package"]).wanted)
                return look(lack, place)

            monkeypatch.setattr(desk, "missing_after", look_later)
            await session.execute("open('late.py', 'w').write('import shy\\nX = shy.X\\n')")
            result = await session.execute("import late\nlate.X")
            assert (result.status, value(result), result.installed_packages) == ("ok", "1", [])
            await session.stop()

    async def test_what_was_printed_is_not_printed_twice(self, session: Session) -> None:
        await session.execute("open('loud.py', 'w').write('print(\"loud\")\\nimport shy\\n')")
        result = await session.execute("import loud")
        assert printed(result) == "loud\n"
        assert result.status == "error"

    async def test_what_pandas_misses_is_installed_and_the_reading_repeated(self, session: Session) -> None:
        result = await session.execute("import pandas as pd\npd.read_excel('missing.xlsb', engine='pyxlsb')")
        assert result.installed_packages == ["pyxlsb==9.0"]
        assert result.cause is not None
        assert "pyxlsb" not in result.cause  # the second time, it is the file that is missing

    async def test_what_load_file_needs_is_installed_and_the_loading_repeated(self, session: Session) -> None:
        await session.execute("import pandas as pd\npd.DataFrame({'a': [1]}).to_excel('a.xlsx')")
        result = await session.execute("df = load_file('a.xlsx', engine='pyxlsb')")
        assert result.installed_packages == ["pyxlsb==9.0"]

    async def test_the_interrupt_of_an_installation_leaves_the_error(
        self, settings: Settings, shop: Shop, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        slow = tmp_path / "uv"
        slow.write_text(f"#!/bin/sh\ncat {shlex.quote(str(gate))}\n")
        slow.chmod(0o755)
        async with session_of(settings, PackageSource(shop.source.options, slow), "patient") as session:
            events = session.run("name = 'ti' + 'ny'\n__builtins__.__import__(name)")
            async for event in events:
                if isinstance(event, PackagesInstalling):
                    await session.interrupt()
            assert isinstance(event, CellFinished)
            assert (event.result.status, event.result.installed_packages) == ("error", [])
            assert value(await session.execute("name")) == "'tiny'"


class TestWhatCannotBe:
    async def test_a_package_that_is_not_approved_is_named_with_what_to_do(self, session: Session) -> None:
        result = await session.execute("import nosuchthing")
        assert result.status == "error"
        assert "no approved package has one; do without it" in said(result.outputs)
        result = await session.execute("import space_one")
        assert "the package space-one is imported as `space.one`" in said(result.outputs)

    async def test_a_line_that_asks_for_one_fails_and_says_so(self, session: Session) -> None:
        result = await session.execute("%pip install --index-url http://127.0.0.1:9 nosuchthing tiny\nprint('not reached')")
        assert (result.status, printed(result)) == ("error", "")
        assert "nosuchthing is not installed" in (result.cause or "")
        assert "'nosuchthing' was not installed: it is not an approved package" in said(result.outputs)
        assert "'--index-url http://127.0.0.1:9' was not followed" in said(result.outputs)

    async def test_one_that_needs_what_the_environment_cannot_have_is_refused_with_the_reason(self, session: Session) -> None:
        result = await session.execute("import wants_old_pandas")
        assert (result.status, result.installed_packages) == ("error", [])
        assert "wants-old-pandas not installed: " in said(result.outputs)
        assert "pandas" in said(result.outputs)
        assert value(await session.execute("import pandas\npandas.__version__[0] > '2'")) == "True"

    async def test_one_that_is_not_to_be_had_fails_once_in_one_line(self, session: Session) -> None:
        events = await events_of(session, "import absent")
        finished = events[-1]
        assert isinstance(finished, CellFinished)
        (line,) = said(finished.result.outputs).splitlines()
        assert line.startswith("absent not installed: ")
        assert sum(isinstance(event, PackagesInstalling) for event in events) == 1


class TestGivingUp:
    async def test_an_interrupt_during_the_installation_keeps_the_cell_from_running(
        self, settings: Settings, shop: Shop, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        slow = tmp_path / "uv"
        slow.write_text(f"#!/bin/sh\ncat {shlex.quote(str(gate))}\n")
        slow.chmod(0o755)
        async with session_of(settings, PackageSource(shop.source.options, slow), "hasty") as session:
            await session.execute("x = 1")
            async for event in session.run("import tiny\nx = 2"):
                if isinstance(event, PackagesInstalling):
                    await session.interrupt()
            assert isinstance(event, CellFinished)
            assert event.result.status == "interrupted"
            assert "nothing of it ran" in (event.result.cause or "")
            # who stops iterating gives the cell up, too
            async for event in session.run("import tiny\nx = 3"):
                if isinstance(event, PackagesInstalling):
                    break
            assert value(await session.execute("x")) == "1"
            # and a stop does not wait for the installation
            task = asyncio.create_task(session.execute("import tiny\nx = 4"))
            await asyncio.sleep(0)
            await session.stop()
            assert (await task).status == "interrupted"


async def test_one_by_one_kernels_have_the_packages_too(own_settings_of: OwnSettings, shop: Shop) -> None:
    settings = own_settings_of(kernel_provisioner="local", approved_packages=shop.approved)
    async with session_of(settings, shop.source, "local") as session:
        await session.execute("1")
        result = await session.execute("import tiny\ntiny.__version__")
    assert (value(result), result.installed_packages) == ("'1.0'", ["tiny==1.0"])


async def test_a_model_s_code_has_a_package_installed_on_the_way_and_the_model_is_told(shop: Shop, settings: Settings) -> None:
    client = ScriptedClient([Reply("", ["import tiny\ntiny.__name__"]), lambda request: Reply(last_answer(request))])
    async with session_of(settings, shop.source, "model") as session:
        turn = Agent(client, AgentOptions("m")).turn(session, Message("go"), Assistant("a", "Analyst", ""))
        async with aclosing(turn.events()) as stream:
            events = [event async for event in stream]
    assert agent_events.PackagesInstalled(("tiny==1.0",)) in events
    assert any(isinstance(event, agent_events.PackagesInstalling) for event in events)
    ended = events[-1]
    assert isinstance(ended, agent_events.TurnEnded)
    assert "status: ok" in ended.text
    assert "installed on the way: tiny" in ended.text
