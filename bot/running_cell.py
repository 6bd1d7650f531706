"""The cell that runs now, as people see it: what it printed, what it installs, and which of its figures may be posted already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.agent.pictures import MIMES, OTHER_MIMES
from bot.cell_text import SHOWN
from bot.markdown import fenced, plain
from kernel_manager.execution.events import (
    DisplayUpdated,
    OutputAdded,
    OutputEvent,
    OutputReplaced,
    OutputsCleared,
    StreamExtended,
)
from kernel_manager.execution.result import Output

#: A figure that stands for that long is posted, although its cell runs on: it is hardly a frame of an animation.
SETTLED_AFTER = timedelta(seconds=1.5)
#: Outputs that are looked at while it runs.
_GLANCED = 40


@dataclass
class RunningCell:
    """See the module. ``state`` is Markdown. ``told`` is the number of the last output that stands in messages, −1 for none."""

    number: int
    code: str
    state: str = "starting"
    outputs: dict[int, Output] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    told: int = -1
    _standing: dict[int, datetime] = field(default_factory=dict)
    _moving: bool = False

    def take(self, event: OutputEvent, now: datetime) -> None:
        """Take in what the code shows ``now``."""
        match event:
            case OutputAdded(index=index, output=output) | OutputReplaced(index=index, output=output):
                self._moving = self._moving or index <= self.told
                self.outputs[index] = dict(output)
                self._standing.pop(index, None)
                if _is_picture(output):
                    self._standing[index] = now
            case StreamExtended(index=index, text=text) if index in self.outputs:
                output = self.outputs[index]
                # its end is enough: the result has all of it
                output["text"] = (str(output.get("text", "")) + text)[-4 * SHOWN :]
            case OutputsCleared():
                # whoever takes back what was posted already shows an animation: of that, only the end is posted
                self._moving = self._moving or self.told >= 0
                self.told = -1
                self.outputs.clear()
                self._standing.clear()
            case DisplayUpdated() | StreamExtended():
                pass

    @property
    def waits(self) -> timedelta | None:
        """How long a figure of it has to stand before it is posted; None if there is none that can be."""
        return None if self._moving or not self._standing else SETTLED_AFTER

    def settled(self, now: datetime) -> int | None:
        """The number of the last figure that has stood long enough, and all figures before it; None if there is none."""
        if self._moving:
            return None
        last = None
        for index in sorted(self._standing):
            if now - self._standing[index] < SETTLED_AFTER:
                break
            last = index
        return last

    def tell(self, last: int) -> list[Output]:
        """The outputs up to ``last`` stand in messages now; return those that did not before, in order."""
        new = [self.outputs[index] for index in sorted(self.outputs) if self.told < index <= last]
        self.told = last
        self._standing = {index: since for index, since in self._standing.items() if index > last}
        return new

    @property
    def shown(self) -> list[str]:
        """The end of what it printed since, as a block; empty if that is nothing."""
        rest = [self.outputs[index] for index in sorted(self.outputs) if index > self.told][-_GLANCED:]
        text = "\n".join(text for output in rest if (text := _glance(output)))
        return [fenced(text[-SHOWN:])] if text else []


def _glance(output: Output) -> str:
    """What can be told of an output at little cost: this is asked again and again, while others wait."""
    if output.get("output_type") == "stream":
        return plain(str(output.get("text", ""))[-4 * SHOWN :]).strip("\n")
    bundle = output.get("data")
    if not isinstance(bundle, Mapping) or _is_picture(output):
        return ""
    text = str(bundle.get("text/plain", ""))[: 4 * SHOWN]
    return "" if text.startswith("<") else plain(text).strip("\n")


def _is_picture(output: Output) -> bool:
    """Whether it looks like one: decoding it for that would be too much each time."""
    bundle = output.get("data")
    return isinstance(bundle, Mapping) and any(mime in bundle for mime in (*MIMES, *OTHER_MIMES))
