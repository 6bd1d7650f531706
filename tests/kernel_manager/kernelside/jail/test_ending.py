"""The end of jails that have no pid namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[4] / "kernel_manager" / "kernelside"

ORPHANS = f"""
import os, signal, sys, time
sys.path.insert(0, {str(FOLDER)!r})
from jail import ending, pids
ending.adopt_orphans()
inner, outer = os.pipe()
if os.fork() == 0:
    os.setsid()
    for _ in range(3):
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.setsid()
            if os.fork():
                os._exit(0)
            os.write(outer, b'1')
            time.sleep(100)
    BOMB
    os._exit(0)
for _ in range(3):
    os.read(inner, 1)
rounds = 0
while not ending.drain():
    rounds += 1
print(pids.descendants(os.getpid()), rounds < 1000)
"""


def run(bomb: str) -> str:
    source = ORPHANS.replace("BOMB", bomb)
    done = subprocess.run([sys.executable, "-I", "-c", source], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()


def test_double_forks_and_ignored_signals_do_not_outlive_init() -> None:
    assert run("pass") == "[] True"


def test_a_fork_bomb_does_not_outrun_the_end() -> None:
    assert run("import resource; [os.fork() for _ in range(5)]; os.kill(os.getpid(), 0); time.sleep(100)") == "[] True"
