"""A turn as people see it, for a snapshot and for the picture in the README (``python -m tools.turn_picture``)."""

from __future__ import annotations

import base64
from pathlib import Path

from bot.agent.events import CodeEnded, CodeRunning, CodeStarted, FigureShown, FileWritten, TextEnded, TurnEnded, TurnUsage
from bot.posts import Post
from bot.rendering import TurnRendering
from kernel_manager.execution.result import ExecutionResult, Output, WrittenFile
from tests.bot.looks import MIB, NOW

SNAPSHOTS = Path(__file__).parent / "snapshots"
FIGURE = SNAPSHOTS / "figure.png"
QUESTION = "@Threadbook how does the price depend on the weight? And give me the medians as a file."
ATTACHED = ("diamonds.csv", 2_583_000)

_TABLE = (
    "<table><tr><th>carat</th><th>count</th><th>median</th></tr>"
    "<tr><td>(0.0, 0.5]</td><td>33</td><td>1016</td></tr><tr><td>(0.5, 1.0]</td><td>237</td><td>2489</td></tr>"
    "<tr><td>(1.0, 1.5]</td><td>97</td><td>5246</td></tr><tr><td>(1.5, 4.0]</td><td>33</td><td>9807</td></tr></table>"
)


def demo_posts() -> list[Post]:
    """The messages of the turn, when it is over."""
    figure = {"image/png": base64.b64encode(FIGURE.read_bytes()).decode(), "text/plain": "<Figure size 704x418 with 1 Axes>"}
    drawn: Output = {"output_type": "display_data", "data": figure, "metadata": {}}
    table: Output = {"output_type": "execute_result", "data": {"text/html": _TABLE}, "metadata": {}, "execution_count": 2}
    file = WrittenFile("medians.csv", "/w/medians.csv", 118, "text/csv")
    events = (
        TextEnded("I load the file and plot **price** against **carat**, with a power law fitted to it."),
        CodeStarted(1, "…"),
        CodeRunning(),
        FigureShown(figure, "“Price against weight”, 1 plot: 400 points and a line"),
        CodeEnded(1, ExecutionResult("ok", 1, [drawn], duration_s=0.41)),
        CodeStarted(2, "…"),
        CodeRunning(),
        FileWritten(file),
        CodeEnded(2, ExecutionResult("ok", 2, [table], files=[file], duration_s=0.03)),
        TextEnded("The price grows with about `carat^1.7`: a stone of twice the weight costs *three times* as much."),
        TurnEnded("completed", "", TurnUsage(runs=2, seconds=0.44)),
    )
    rendering = TurnRendering(10 * MIB)
    for event in events:
        rendering.take(event, NOW)
    return rendering.posts()
