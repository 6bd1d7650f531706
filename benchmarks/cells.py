"""The code that both sides run."""

from __future__ import annotations

FIGURE = "import pandas, matplotlib.pyplot as plt; plt.plot([1,2,3]); plt.show()"
IMPORTS = "import pandas, matplotlib.pyplot as plt"
ASSIGNMENT = "x = 1"
TABLES = """
import numpy as np, pandas as pd, pyarrow, pyarrow.parquet, python_calamine
rng = np.random.default_rng(7)
n = 1_000_000
columns = {"id": np.arange(n), "x": rng.random(n), "n": rng.integers(0, 10**6, n), "city": rng.choice(["Ulm", "Bonn", "Köln"], n)}
frame = pd.DataFrame(columns)
frame.to_csv("rows.csv", index=False)
frame.to_parquet("rows.parquet")
frame.head(50_000).to_excel("rows.xlsx", index=False)
"""

#: Each of these files by ``load_file``, and by the fastest call for the same frame that one would write by hand.
LOADS = {
    "CSV, 1 M rows": ("load_file('rows.csv')", "pd.read_csv('rows.csv')"),
    "Parquet, 1 M rows": ("load_file('rows.parquet')", "pd.read_parquet('rows.parquet')"),
    "Excel, 50,000 rows": ("load_file('rows.xlsx')", "pd.read_excel('rows.xlsx', engine='calamine')"),
}
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
