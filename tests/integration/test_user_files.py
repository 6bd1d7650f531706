"""The files of a user, as real kernels see them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kernel_manager import ExecutionResult, Session, cleanup_expired_files, get_interpreter_status, open_interpreter
from tests.integration.conftest import OwnSettings
from tests.integration.support import driver, value

WAIT = "import os, time\nprint('began', flush=True)\nwhile not os.path.exists('go'): time.sleep(.01)\n"


def warned(result: ExecutionResult) -> str:
    """What stands in the result's standard error."""
    return "".join(output["text"] for output in result.outputs if output.get("name") == "stderr")


async def begin(session: Session, code: str) -> asyncio.Task[ExecutionResult]:
    """Run a cell and return when its code runs; it waits for :func:`let_go`."""
    begun = asyncio.Event()

    async def run() -> ExecutionResult:
        result = None
        async for event in session.run(WAIT + code):
            begun.set()
            result = getattr(event, "result", None)
        assert isinstance(result, ExecutionResult)
        return result

    task = asyncio.create_task(run())
    await begun.wait()
    return task


def let_go(workspace: Path) -> None:
    (workspace / "go").touch()


async def test_what_is_added_removed_and_kept_is_seen_by_a_live_kernel(own_settings_of: OwnSettings) -> None:
    async with open_interpreter(own_settings_of()) as interpreter:
        session = await interpreter.session("ada")
        await session.execute("x = 1")
        file = (await interpreter.files.add("ada", "Umsätze.csv", b"a,b\n1,2\n3,4\n")).file
        assert value(await session.execute("load_file('Umsätze.csv').shape")) == "(2, 2)"
        assert value(await session.execute(f"load_file('{file.file_id}').shape")) == "(2, 2)"

        written = await session.execute("open('out.txt', 'w').write('hello')")
        assert [each.filename for each in written.files] == ["out.txt"]
        await interpreter.files.keep("ada", "default", "out.txt")
        other = await interpreter.session("ada", "other")
        assert value(await other.execute("load_file('out.txt')")) == "'hello'"

        await interpreter.files.remove("ada", file.file_id)
        assert (await session.execute("load_file('Umsätze.csv')")).status == "error"


async def test_files_handed_in_with_a_cell_have_records_and_the_result_says_what_made_room(
    own_settings_of: OwnSettings, tmp_path: Path
) -> None:
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("a\n1\n")
    async with open_interpreter(own_settings_of(max_files_per_user=1)) as interpreter:
        session = await interpreter.session("ada")
        await session.execute("1", files=[tmp_path / "one.csv"])
        result = await session.execute("load_file('two.csv').shape", files=[tmp_path / "two.csv"])
        assert value(result) == "(1, 1)"
        assert warned(result) == "one.csv was removed to make room for two.csv\n"
        assert [file.filename for file in await interpreter.files.list("ada")] == ["two.csv"]


@pytest.fixture
def lease_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing but the lease to tell that files are used: a cell's note in the session's lock would tell, too."""

    async def nobody(*_: object) -> bool:
        return False

    monkeypatch.setattr("kernel_manager.interpreter.runs_unattended", nobody)


@pytest.mark.usefixtures("lease_alone")
async def test_nothing_is_taken_from_another_client_of_the_kernel(own_settings_of: OwnSettings) -> None:
    async with open_interpreter(own_settings_of(file_expiration_hours=0.000_001), housekeeping=False) as interpreter:
        await interpreter.files.add("ada", "used.csv", b"a\n1\n")
        session = await interpreter.session("ada")
        async with session.recording():
            assert (await interpreter.cleanup()).files_in_use == 1
        assert len((await interpreter.cleanup()).files) == 1


@pytest.mark.usefixtures("lease_alone")
async def test_no_clean_up_and_no_limit_takes_a_file_from_a_running_cell(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of(max_files_per_user=1, file_expiration_hours=0.000_001)
    async with open_interpreter(settings, housekeeping=False) as interpreter:
        await interpreter.files.add("ada", "used.csv", b"a\n1\n")
        session = await interpreter.session("ada")
        running = await begin(session, "load_file('used.csv').shape")
        await interpreter.files.add("ada", "more.csv", b"a\n1\n")
        assert await cleanup_expired_files(interpreter.database, settings) == 0
        assert (await interpreter.cleanup()).files_in_use == 2
        let_go(session.workspace)
        assert value(await running) == "(1, 1)"
        assert len((await interpreter.cleanup()).files) == 2


async def test_nor_from_one_whose_service_was_killed(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of(file_expiration_hours=0.000_001)
    code = f"""
        session = await interpreter.session("ada")
        await interpreter.files.add("ada", "used.csv", b"a\\n1\\n")
        async for event in session.run({WAIT + "shape = load_file('used.csv').shape"!r}):
            say("began")
    """
    async with driver(settings, code) as other:
        assert await other.line() == "began"
        await other.kill()
    async with open_interpreter(settings, housekeeping=False) as interpreter:
        assert (await interpreter.cleanup()).files_in_use == 1
        session = await interpreter.session("ada")
        let_go(session.workspace)
        assert value(await session.execute("shape")) == "(1, 1)"
        assert len((await interpreter.cleanup()).files) == 1


async def test_what_code_writes_has_a_quota_of_its_own_and_pushes_no_file_out(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of(max_session_files=3, max_files_per_user=1)
    async with open_interpreter(settings) as interpreter:
        await interpreter.files.add("ada", "uploaded.csv", b"a\n1\n")
        session = await interpreter.session("ada")
        code = "import os\nfor n in range(5):\n    f = open(f'w{n}', 'w'); f.write('x' * 10); f.close(); os.sync()"
        result = await session.execute(code)
        assert result.status == "ok"
        assert len(result.files) == 3
        assert "the session may keep 3 files and 1024 MB, so the oldest of its files were removed" in warned(result)
        assert value(await session.execute("load_file('uploaded.csv').shape")) == "(1, 1)"


async def test_the_status_tells_of_environment_sessions_files_and_disk(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of()
    async with open_interpreter(settings) as interpreter:
        await interpreter.files.add("ada", "a.csv", bytes(2**20))
        await (await interpreter.session("ada")).execute("1")
        status = await get_interpreter_status(interpreter.database, settings)
        assert status == {**await interpreter.status(), "disk_free_mb": status["disk_free_mb"]}
    assert (status["venv_exists"], status["total_user_files"], status["total_file_size_mb"]) == (True, 1, 1.0)
    assert status["package_count"] > 10
    assert status["sessions_by_state"] == {"idle": 1}
    assert status["disk_free_mb"] > 0
    assert (status["sandbox"], status["kernel_network"]) == ("auto", "off")
    assert status["database"] == f"sqlite:///{settings.data_dir}/threadbook.sqlite3"
