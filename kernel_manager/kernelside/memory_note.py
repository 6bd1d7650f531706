"""What a ``MemoryError`` should say: how much was used, how much may be, and by which setting."""

from __future__ import annotations

import os
from contextlib import suppress

#: The variable of the jail that holds the limit, in MB: the setting's own name.
LIMIT_VARIABLE = "KERNEL_MEMORY_MB"


def explain(error: BaseException | None) -> None:
    """Tell it in the error itself, unless it has a text of its own already; then in a note beside it."""
    limit = os.environ.get(LIMIT_VARIABLE, "")
    if not isinstance(error, MemoryError) or not limit.isdigit():
        return
    text = f"the kernel has used up to {_peak_mb():,} MB, this was more than is left of its {int(limit):,} MB ({LIMIT_VARIABLE})"
    if not str(error):
        error.args = (text,)
    elif text not in (*error.args, *getattr(error, "__notes__", ())):
        error.add_note(text)


def _peak_mb() -> int:
    """The most memory that this process had at once."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/status") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM:"))
    return 0
