"""What runs on in a kernel after its cell is over."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from kernel_manager import Session
from kernel_manager.kernelside.init import SETTLE_S
from kernel_manager.kernelside.jail_enclosure import BACKGROUND_CPUS
from tests.integration.support import kernel_pid, value

BURNING = """
import threading
def burn():
    while True: pass
threading.Thread(target=burn, daemon=True).start()
"""
WINDOW_S = 2.0


def processor_seconds(pid: int) -> float:
    """What a process has used so far, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
async def test_a_thread_that_burns_on_after_its_cell_gets_little_of_the_processor(session: Session) -> None:
    await session.execute("1")
    pid = await kernel_pid(session)
    if not re.search(r"(\bcpu\b|0:).*:/.*threadbook", Path(f"/proc/{pid}/cgroup").read_text()):
        pytest.skip("no control group limits processors here")
    assert (await session.execute(BURNING)).ok
    await asyncio.sleep(SETTLE_S + 0.5)
    before = processor_seconds(pid)
    await asyncio.sleep(WINDOW_S)
    assert processor_seconds(pid) - before <= 2 * BACKGROUND_CPUS * WINDOW_S
    assert value(await session.execute("6 * 7")) == "42"
