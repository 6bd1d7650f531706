"""What of a cell's outputs was not shown while the cell ran. Pure.

A cell announces its outputs only up to its limits. Its result has what came last too, and says what was cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kernel_manager.execution.result import Output

#: How the text of a stream ends that goes on without being announced.
NOT_LIVE = "\n… more text follows; its end is shown when the cell is done …\n"
_OUTPUTS_CUT = re.compile(r"… ([\d,]+) outputs cut …\n")


def remainder(outputs: Sequence[Output], shown: Mapping[int, str | None]) -> list[Output]:
    """Return what is left to show.

    ``shown`` has the index of each output that was announced: for a stream the text of it, else None. Of a stream
    that was shown in part, the output returned has only the rest.
    """
    cut_at, cut = _cut(outputs)
    left = []
    for position, output in enumerate(outputs):
        index = position if position < cut_at else position - 1 + cut
        if position == cut_at or index not in shown:
            left.append(output)
        elif (text := shown[index]) is not None and (rest := _rest(text, output)):
            left.append({**output, "text": rest})
    return left


def _cut(outputs: Sequence[Output]) -> tuple[int, int]:
    """Where outputs are missing and how many; past the end and 0 if none are."""
    for position, output in enumerate(outputs):
        if output.get("name") == "stderr" and (found := _OUTPUTS_CUT.fullmatch(output.get("text", ""))):
            return position, int(found[1].replace(",", ""))
    return len(outputs), 0


def _rest(shown: str, output: Output) -> str:
    whole = output.get("text", "")
    live = shown.removesuffix(NOT_LIVE)
    if live == shown and shown:
        return ""
    same = next((place for place, pair in enumerate(zip(live, whole, strict=False)) if pair[0] != pair[1]), len(live))
    return str(whole[same:])
