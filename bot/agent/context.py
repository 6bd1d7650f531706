"""Makes a conversation fit: the oldest figures go first, then old outputs get short, then old exchanges become summaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.agent.budget import text_tokens, tokens_of
from bot.agent.conversation import summary
from bot.agent.items import (
    AssistantMessage,
    Exchange,
    Image,
    Item,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolOutput,
    UserMessage,
    said,
)
from bot.agent.marking import clip, marked

#: Characters that are left of an old output, and of what does not fit in the exchange that goes on.
_SHORT_OUTPUT = 400
_LAST_RESORTS = (4_000, 1_000, 300)
_MAX_SUMMARIES = 100
_FOR_SUMMARIES = 0.25
_SLACK = 0.85
_HEADING_TOKENS = 30
#: The exchange that goes on and the one before: their outputs are shortened when old exchanges are summaries already.
_SPARED = 2
_GONE = Text("[the picture is not attached any more]")


@dataclass(frozen=True, slots=True)
class Fitted:
    """Items that fit, and what was done for it, for the log: empty if nothing had to be.

    ``past`` are all exchanges but the last as they became: who asks again with them sends the same beginning.
    """

    items: tuple[Item, ...]
    steps: tuple[str, ...] = ()
    past: tuple[Exchange, ...] = ()


def fit(exchanges: Sequence[Exchange], budget: float) -> Fitted:
    """Return the exchanges' items in at most ``budget`` estimated tokens, if that is possible; the last exchange goes on.

    In this order, each from the oldest on and hardly further than needed: figures go, outputs are shortened, exchanges become
    summaries, of which the oldest are dropped. What is going on now and the exchange before it come last: an old exchange is
    summarised sooner than that the model cannot read what it has just asked for.
    """
    work = list(exchanges)
    steps = []
    if shrink_oldest_first(work, budget, without_figures):
        steps.append("figures")
    # a little more than needed, so that the beginning stays as it is, and cached, while the end grows
    aim = budget if _total(work) <= budget else budget * _SLACK
    if shrink_oldest_first(work, aim, with_short_outputs, spared=_SPARED):
        steps.append("outputs")
    summaries = Summaries(budget * _FOR_SUMMARIES)
    _summarise(work, aim, summaries, spared=_SPARED)
    if shrink_oldest_first(work, budget - summaries.tokens, with_short_outputs):
        steps.append("recent outputs")
    _summarise(work, budget, summaries, spared=1)
    summaries.shrink_to(budget - _total(work))
    if summaries.texts:
        steps.append("summaries")
    beginning = _told(summaries.texts)
    past = (*([Exchange(tuple(beginning))] if beginning else []), *work[:-1])
    items = [*beginning, *(item for exchange in work for item in exchange.items)]
    for limit in _LAST_RESORTS:
        if tokens_of(items) <= budget:
            break
        items = [_cut(item, limit) for item in items]
        steps.append(f"cut at {limit}")
    return Fitted(tuple(items), tuple(steps), past)


def shrink_oldest_first(work: list[Exchange], budget: float, change: Callable[[Item], Item], *, spared: int = 0) -> bool:
    """Change items from the oldest on until all fit, but not in the last ``spared`` exchanges; return whether any was changed."""
    total = _total(work)
    changed = False
    for number, exchange in enumerate(work[: len(work) - spared] if spared else work):
        items = list(exchange.items)
        for place, item in enumerate(items):
            if total <= budget:
                break
            smaller = change(item)
            if smaller != item:
                total -= tokens_of([item]) - tokens_of([smaller])
                items[place] = smaller
                changed = True
        work[number] = Exchange(tuple(items))
    return changed


def without_figures(item: Item) -> Item:
    """The item without its pictures; what an output's figures show stands in its words already."""
    if not isinstance(item, (UserMessage, ToolOutput)) or not any(isinstance(part, Image) for part in item.parts):
        return item
    return replace(item, parts=tuple(map(_described, item.parts)))


def with_short_outputs(item: Item) -> Item:
    """The item with a short text, if it is an output."""
    if not isinstance(item, ToolOutput):
        return item
    return replace(item, parts=tuple(_clipped(part, _SHORT_OUTPUT) for part in item.parts))


class Summaries:
    """Summaries of exchanges that were taken out, the latest ones, in a part of the room: what was said lately is worth more."""

    def __init__(self, room: float) -> None:
        self.texts: list[str] = []
        self._sizes: list[float] = []
        self._room = room

    @property
    def tokens(self) -> float:
        """What they take, estimated, with their heading."""
        return sum(self._sizes) + _HEADING_TOKENS if self._sizes else 0.0

    def add(self, text: str) -> None:
        """Add the summary of a later exchange."""
        self.texts.append(text)
        # twice a few for the blank lines and for strokes that marking adds
        self._sizes.append(text_tokens(text) + 4)
        self.shrink_to(self._room)

    def shrink_to(self, room: float) -> None:
        """Leave out the oldest until they fit."""
        while self._sizes and (self.tokens > room or len(self._sizes) > _MAX_SUMMARIES):
            del self.texts[0], self._sizes[0]


def _summarise(work: list[Exchange], budget: float, summaries: Summaries, *, spared: int) -> None:
    """Take exchanges out from the oldest on, until the rest fits beside the summaries."""
    total = _total(work)
    while len(work) > spared and total + summaries.tokens > budget:
        exchange = work.pop(0)
        total -= tokens_of(exchange.items)
        summaries.add(summary(exchange))


def _told(summaries: Sequence[str]) -> list[Item]:
    if not summaries:
        return []
    text = "Earlier in this conversation, shortened:\n\n" + "\n\n".join(summaries)
    return [said(marked("note", text, source="interpreter"))]


def _cut(item: Item, limit: int) -> Item:
    match item:
        case UserMessage() | ToolOutput():
            return replace(item, parts=tuple(_clipped(_described(part), limit) for part in item.parts))
        case AssistantMessage() if len(item.text) > limit:
            return AssistantMessage(clip(item.text, limit))
        case AssistantMessage():
            return item  # with what its endpoint wants back
        case ToolCall() | Reasoning():
            return item


def _described(part: Part) -> Part:
    return part if isinstance(part, Text) else _GONE


def _clipped(part: Part, limit: int) -> Part:
    return Text(clip(part.text, limit)) if isinstance(part, Text) else part


def _total(work: Sequence[Exchange]) -> float:
    return sum(tokens_of(exchange.items) for exchange in work)
