"""A cell whose service was killed goes on without it; so must its clock, and the clock must stop with the cell."""

from __future__ import annotations

import asyncio

from kernel_manager import open_interpreter
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.provisioning.runtime import KernelFolder
from tests.integration.conftest import OwnSettings
from tests.integration.support import PATIENCE, driver, kernel_folders, value

DRIVER = """
    session = await interpreter.session("ada")
    await session.execute("x = 41")
    async for event in session.run("import os\\nwhile not os.path.exists('go'): pass"):
        say("began")
"""


async def test_the_clock_of_an_orphaned_cell_stops_with_the_cell(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of(code_execution_timeout=300)
    async with driver(settings, DRIVER) as other:
        assert await other.line() == "began"
        await other.kill()
    (folder,) = kernel_folders(settings)
    assert await clock_runs(folder)
    (settings.data_dir / "sessions" / "ada" / "default" / "workspace" / "go").touch()
    async with asyncio.timeout(PATIENCE):
        while await clock_runs(folder):
            await asyncio.sleep(0.02)
    async with open_interpreter(settings) as interpreter:
        result = await (await interpreter.session("ada")).execute("x + 1")
    assert value(result) == "42"
    assert not result.state_lost


async def test_files_that_an_orphaned_cell_wrote_are_in_its_result(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of(code_execution_timeout=300)
    writing = DRIVER.replace("import os", "import os; open('before.txt', 'w').write('b')").replace(
        "x = 41", "open('old.txt', 'w')"
    )
    writing = writing.replace(": pass", ": pass\\nopen('after.txt', 'w').write('a')")
    async with driver(settings, writing) as other:
        assert await other.line() == "began"
        await other.kill()
    async with open_interpreter(settings) as interpreter:
        session = await interpreter.session("ada")
        (session.workspace / "go").touch()
        await session.settle()
        written = [file.filename for file in session.read_history().cells[-1].files]
    assert written == ["after.txt", "before.txt", "go"]


async def clock_runs(folder: KernelFolder) -> bool:
    kernel = await LiveKernel.attach(folder)
    assert kernel is not None
    await kernel.aclose()
    return kernel.was_running
