"""How many tokens a request has: estimated from its bytes, and corrected by what endpoints report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from bot.agent.items import Image, Item, Origin, Part, Reasoning, Text, ToolCall, ToolOutput, UserMessage
from bot.agent.models.protocol import ModelRequest, Tool

BYTES_PER_TOKEN = 3.6
#: About what providers count for a picture of at most 768 pixels.
IMAGE_TOKENS = 1_100
_ITEM_TOKENS = 6
# Tokenisers differ by that much; what lies outside is no matter of tokenisers.
_LOWEST, _HIGHEST = 0.7, 2.5
_WEIGHT = 0.3
#: An endpoint that read less than that part of what was sent has cut it.
CUT_BELOW = 0.6
_CUT_FROM = 3_000


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


def _part_tokens(part: Part) -> float:
    match part:
        case Image():
            return IMAGE_TOKENS
        case Text():
            return text_tokens(part.text)


class Calibration:
    """How many tokens an endpoint reports for one that was estimated, for each endpoint and model by itself."""

    def __init__(self) -> None:
        self._factors: dict[Origin, float] = {}

    def factor(self, origin: Origin) -> float:
        """Return the factor; 1 as long as nothing was reported."""
        return self._factors.get(origin, 1.0)

    def learn(self, origin: Origin, estimated: float, reported: int) -> bool:
        """Take in what an endpoint reported; return whether it must have read only a part of the request."""
        if reported <= 0 or estimated <= 0:
            return False
        if estimated >= _CUT_FROM and reported < CUT_BELOW * min(1.0, self.factor(origin)) * estimated:
            return True
        ratio = min(max(reported / estimated, _LOWEST), _HIGHEST)
        known = self._factors.get(origin)
        self._factors[origin] = ratio if known is None else known + _WEIGHT * (ratio - known)
        return False
