"""How many tokens a request has: estimated from its bytes, and corrected by what endpoints report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.agent.items import Image, Item, Origin, Part, Reasoning, Text, ToolCall, ToolOutput, UserMessage
from bot.agent.models.protocol import ModelRequest, Tool

BYTES_PER_TOKEN = 3.6
#: About what providers count for a picture of at most 768 pixels.
IMAGE_TOKENS = 1_100
_ITEM_TOKENS = 6
# Tokenisers differ by that much; what lies outside is no matter of tokenisers.
_LOWEST, _HIGHEST = 0.5, 2.5
_WEIGHT = 0.3
#: An endpoint that read fewer tokens than the text has by the coarsest tokeniser has cut it.
COARSEST_BYTES_PER_TOKEN = 6.0
COARSEST_CHARACTERS_PER_TOKEN = 4.5
_CUT_FROM = 3_000
_SMALLEST_LIMIT = 500
#: One that reports no more although so many tokens were added has cut, too, if it does not leave out what it has cached.
_GROWTH = 300
_STANDS_STILL_FROM = 1_900


def tokens_of(items: Iterable[Item]) -> float:
    """Estimate the tokens of items."""
    return sum(map(item_tokens, items))


def item_tokens(item: Item) -> float:
    """Estimate the tokens of an item."""
    match item:
        case UserMessage() | ToolOutput():
            return _ITEM_TOKENS + sum(map(_part_tokens, item.parts))
        case ToolCall():
            return _ITEM_TOKENS + text_tokens(item.name + item.arguments)
        case Reasoning():
            return text_tokens(json.dumps(dict(item.payload), default=str))
        case _:
            return _ITEM_TOKENS + text_tokens(item.text)


def text_tokens(text: str) -> float:
    """Estimate the tokens of a text."""
    return len(text.encode(errors="replace")) / BYTES_PER_TOKEN


def request_tokens(request: ModelRequest) -> float:
    """Estimate the tokens of a whole request."""
    return fixed_tokens(request.instructions, request.tools) + tokens_of(request.items)


def fixed_tokens(instructions: str, tools: Sequence[Tool]) -> float:
    """Estimate the tokens of what is in every request."""
    schema = sum(text_tokens(tool.name + tool.description + json.dumps(dict(tool.parameters))) for tool in tools)
    return text_tokens(instructions) + schema + _ITEM_TOKENS


def least_tokens(request: ModelRequest) -> float:
    """Return how many tokens the words of a request have at least: whole words, no runs of spaces, no pictures."""
    texts = [request.instructions, *(text for item in request.items for text in _words_of(item))]
    return sum(_least(" ".join(text.split())) for text in texts)


def _least(text: str) -> float:
    # of other scripts than Latin, large vocabularies take more bytes in one token, but hardly more characters
    others = 0 if text.isascii() else len(text) - len(text.encode("ascii", "ignore"))
    return (len(text) - others) / COARSEST_BYTES_PER_TOKEN + others / COARSEST_CHARACTERS_PER_TOKEN


def _words_of(item: Item) -> Iterable[str]:
    match item:
        case UserMessage() | ToolOutput():
            return (part.text for part in item.parts if isinstance(part, Text))
        case ToolCall():
            return (item.arguments,)
        case Reasoning():
            return ()
        case _:
            return (item.text,)


def _part_tokens(part: Part) -> float:
    match part:
        case Image():
            return IMAGE_TOKENS
        case Text():
            return text_tokens(part.text)


@dataclass(frozen=True, slots=True)
class Read:
    """How many tokens an endpoint reported for a request, and how many that had at least."""

    least: float
    reported: int


class Calibration:
    """What is learnt of each endpoint and model: how it counts tokens, how many are too many, and that it takes no pictures."""

    def __init__(self) -> None:
        self._factors: dict[Origin, float] = {}
        self._limits: dict[Origin, float] = {}
        self.blind: set[Origin] = set()

    def factor(self, origin: Origin) -> float:
        """Return how many tokens are reported for one that was estimated; 1 as long as nothing was reported."""
        return self._factors.get(origin, 1.0)

    def limit(self, origin: Origin) -> float | None:
        """Return how many tokens the endpoint was found to read at most; None if it never complained."""
        return self._limits.get(origin)

    def too_long(self, origin: Origin, sent: float, told: int | None) -> float:
        """Take in that ``sent`` tokens were too many, and how many it says that it reads; return the limit from now on."""
        found = float(told) if told is not None and told >= _SMALLEST_LIMIT else sent
        self._limits[origin] = limit = min(found, self._limits.get(origin, found))
        return limit

    def learn(self, origin: Origin, request: ModelRequest, reported: int, before: Read | None = None) -> bool:
        """Take in what an endpoint reported; return whether it must have read only a part of the request.

        ``before`` is what it read of an earlier request of the same turn, which grows from one to the next.
        """
        estimated = request_tokens(request)
        if reported <= 0 or estimated <= 0:
            return False
        least = least_tokens(request)
        stands_still = before is not None and _STANDS_STILL_FROM <= reported <= before.reported
        if estimated >= _CUT_FROM and (reported < least or (stands_still and before and least > before.least + _GROWTH)):
            return True
        ratio = min(max(reported / estimated, _LOWEST), _HIGHEST)
        known = self._factors.get(origin)
        self._factors[origin] = ratio if known is None else known + _WEIGHT * (ratio - known)
        return False
