from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest

from bot.journal import LeftTurn
from bot.taking_up import shown_of

LEFT = LeftTurn(7, "ada", "discord-7", entries=5, cells=3, begun_at="2026-01-01T00:00:00+00:00")


@dataclass
class Shown:
    """What a message is, as far as it matters here."""

    name: str
    content: str = ""
    components: list[Any] = field(default_factory=list)


def panel(name: str, custom_id: str) -> Shown:
    button = cast("Any", discord.Button.__new__(discord.Button))
    button.custom_id = custom_id
    row = cast("Any", discord.ActionRow.__new__(discord.ActionRow))
    row.children = [button]
    return Shown(name, components=[row])


BEFORE = panel("the last panel of the turn before", "threadbook:again:2-1:discord-7")
RUNNING = panel("the panel", "threadbook:stop:3-1:discord-7")
FIGURE = Shown("a figure")
WORDS = Shown("a notice", content="It was not taken.")


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([RUNNING], ["the panel"]),
        ([FIGURE, RUNNING], ["a figure", "the panel"]),
        ([Shown("an older figure"), BEFORE, FIGURE, RUNNING], ["a figure", "the panel"]),
        ([WORDS, RUNNING, WORDS], ["the panel"]),
        ([BEFORE], []),
        ([FIGURE, panel("an upload's reply", "threadbook:file:delete:ab12"), RUNNING], ["the panel"]),
        ([panel("of another session", "threadbook:stop:3-1:discord-8"), RUNNING], ["the panel"]),
        ([], []),
    ],
)
def test_what_an_interrupted_turn_had_shown_is_told_from_what_others_had(messages: list[Shown], expected: list[str]) -> None:
    found = shown_of(cast("list[discord.Message]", messages), LEFT)
    assert [cast("SimpleNamespace", message).name for message in found] == expected
