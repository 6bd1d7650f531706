"""The code that both sides run."""

from __future__ import annotations

FIGURE = "import pandas, matplotlib.pyplot as plt; plt.plot([1,2,3]); plt.show()"
IMPORTS = "import pandas, matplotlib.pyplot as plt"
ASSIGNMENT = "x = 1"
SLEEP = "import time; print('asleep', flush=True); time.sleep(60)"
_FORK_BOMB = """
import os
while True:
    try: os.fork()
    except OSError: pass
"""
_MEMORY_BOMB = """
import os
for _ in range(8): os.fork()
blocks = []
while True:
    try: blocks.append(bytearray(10**7))
    except MemoryError: pass
"""
BOMBS = {"fork bomb": _FORK_BOMB, "memory bomb": _MEMORY_BOMB}
