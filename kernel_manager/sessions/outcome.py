"""How a cell ended whose reply went to somebody else: told from its outputs."""

from __future__ import annotations

from kernel_manager.execution.outputs import OutputCollector
from kernel_manager.execution.result import Status

_INTERRUPTED = "the cell was interrupted; the session's variables are kept"
_MAX_CAUSE = 2_000


def outcome(collector: OutputCollector) -> tuple[Status, str | None]:
    """Return the status, and the cause if it is not ``ok``, of a cell that came to its end."""
    if not collector.failed:
        return "ok", None
    error = next((output for output in reversed(collector.outputs) if output["output_type"] == "error"), None)
    if error is None:
        return "error", "the cell failed"
    if error["ename"] == "KeyboardInterrupt":
        return "interrupted", _INTERRUPTED
    return "error", f"{error['ename']}: {error['evalue']}".strip().removesuffix(":")[:_MAX_CAUSE]
