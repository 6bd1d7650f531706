"""The code that both sides run."""

from __future__ import annotations

FIGURE = "import pandas, matplotlib.pyplot as plt; plt.plot([1,2,3]); plt.show()"
IMPORTS = "import pandas, matplotlib.pyplot as plt"
ASSIGNMENT = "x = 1"
SLEEP = "import time; print('asleep', flush=True); time.sleep(60)"
