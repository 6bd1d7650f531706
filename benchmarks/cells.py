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
LACKING = "import seaborn"
THIRTY_LINES = "\n".join(
    [
        "import io, json, os",
        "import numpy as np",
        "import pandas as pd",
        "import matplotlib.pyplot as plt",
        *(f"df{n} = pd.read_csv(path, sep=';').groupby('a')['b'].agg({{'c': 'mean'}}).reset_index()" for n in range(10)),
        "def plot(df, title, *, width=8, height=4):",
        "    from matplotlib.figure import Figure",
        "    fig, ax = plt.subplots(figsize=(width, height))",
        "    for name in [column for column in df.columns if column.startswith('v')]:",
        "        ax.plot(df['t'], df[name].rolling(7).mean(), label=f'{name}: {df[name].mean():.2f}')",
        "    ax.legend(loc='upper left'); ax.set_title(title)",
        "    return fig",
        *(f"plot(df{n}, 'figure {n}')" for n in range(9)),
    ]
)
