"""Makes a conversation fit: the oldest figures go first, then old outputs get short, then old exchanges become summaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.agent.budget import tokens_of
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
_MAX_SUMMARIES = 200
_GONE = Text("[the picture is not attached any more]")


@dataclass(frozen=True, slots=True)
class Fitted:
    """Items that fit, and what was done for it, for the log: empty if nothing had to be."""

    items: tuple[Item, ...]
    steps: tuple[str, ...] = ()


def fit(exchanges: Sequence[Exchange], budget: float) -> Fitted:
    """Return the exchanges' items in at most ``budget`` estimated tokens, if that is possible; the last exchange goes on.

    In this order, each from the oldest on and no further than needed: figures become their descriptions, outputs are
    shortened, exchanges become summaries, summaries are dropped; then the outputs and texts of the last exchange are cut.
    """
    work = list(exchanges)
    steps = []
    for name, change in (("figures", without_figures), ("outputs", with_short_outputs)):
        if shrink_oldest_first(work, budget, change):
            steps.append(name)
    summaries = _summarise(work, budget)
    if summaries:
        steps.append("summaries")
    items = [*_told(summaries), *(item for exchange in work for item in exchange.items)]
    for limit in _LAST_RESORTS:
        if tokens_of(items) <= budget:
            break
        items = [_cut(item, limit) for item in items]
        steps.append(f"cut at {limit}")
    return Fitted(tuple(items), tuple(steps))


def shrink_oldest_first(work: list[Exchange], budget: float, change: Callable[[Item], Item]) -> bool:
    """Change items from the oldest on until all fit; the last exchange comes last. Return whether anything was changed."""
    total = _total(work)
    changed = False
    for number, exchange in enumerate(work):
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


def _summarise(work: list[Exchange], budget: float) -> list[str]:
    """Take exchanges out from the oldest on and return their summaries, as many of the latest as fit."""
    summaries: list[str] = []
    total = _total(work)
    while len(work) > 1 and total > budget:
        exchange = work.pop(0)
        total -= tokens_of(exchange.items)
        summaries.append(summary(exchange))
        total += tokens_of([said(summaries[-1])])
    while summaries and (total > budget or len(summaries) > _MAX_SUMMARIES):
        total -= tokens_of([said(summaries.pop(0))])
    return summaries


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
