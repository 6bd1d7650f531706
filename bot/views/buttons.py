"""The buttons of a turn. All they know is in their ids, so that they work after a restart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import discord
from discord.ui import Button, DynamicItem, Select

from bot.markdown import head
from bot.posts import ButtonName
from bot.views.file_buttons import FILE_ITEMS
from bot.views.naming import MAX_CHOICES, TURNS
from bot.views.offers import OfferButton

if TYPE_CHECKING:
    from bot.cogs.turns import Turns

#: Those below a turn, and those that an answer to one of them offers.
Name = ButtonName | Literal["html", "bundle", "resetting"]
_MAX_LABEL = 100
_PLAIN = discord.ButtonStyle.secondary
_LOOKS: dict[Name, tuple[str, str, discord.ButtonStyle]] = {
    "stop": ("Stop", "⏹️", discord.ButtonStyle.danger),
    "answer": ("Answer", "⌨️", discord.ButtonStyle.primary),
    "again": ("Run again", "🔁", _PLAIN),
    "edit": ("Edit & run", "✏️", _PLAIN),
    "code": ("Show code", "📄", _PLAIN),
    "notebook": ("Notebook", "📓", _PLAIN),
    "html": ("As a web page", "🌐", _PLAIN),
    "bundle": ("With its data", "📦", _PLAIN),
    "reset": ("Reset", "🧹", _PLAIN),
    "resetting": ("Begin anew", "🧹", discord.ButtonStyle.danger),
    "keep": ("Keep", "📌", _PLAIN),
}
_PLACE = r"(?P<first>\d+)-(?P<count>\d+):(?P<session>[\w.-]+)"


def looks_of(name: Name) -> tuple[str, str, str]:
    """Return the label, the emoji and the style of a button."""
    label, emoji, style = _LOOKS[name]
    return label, emoji, style.name


class TurnButton(DynamicItem[Button[Any]], template=rf"threadbook:(?P<name>{'|'.join(_LOOKS)}):{_PLACE}"):
    """A button below a turn; its ``count`` cells begin with the ``first`` of the session's history, counted from 0."""

    def __init__(self, name: Name, session_id: str, first: int = 0, count: int = 0) -> None:
        label, emoji, style = _LOOKS[name]
        custom_id = f"threadbook:{name}:{first}-{count}:{session_id}"
        super().__init__(Button(label=label, emoji=emoji, style=style, custom_id=custom_id))
        self.name = name
        self.session_id = session_id
        self.first = first
        self.count = count

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: Any, match: re.Match[str], /) -> Self:
        """Make the button again from its id."""
        name = next(name for name in _LOOKS if name == match["name"])
        return cls(name, match["session"], int(match["first"]), int(match["count"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Have the cog do it."""
        cog: Turns | None = interaction.client.get_cog(TURNS)
        if cog is not None:
            await cog.pressed(interaction, self)


class KeepSelect(DynamicItem[Select[Any]], template=rf"threadbook:keeping:{_PLACE}"):
    """Which of the files that the cells of a turn wrote become the user's; cells are counted as for :class:`TurnButton`."""

    def __init__(self, session_id: str, first: int, count: int, names: Sequence[str] = ()) -> None:
        options = [discord.SelectOption(label=head(name, _MAX_LABEL), value=str(number)) for number, name in enumerate(names)]
        custom_id = f"threadbook:keeping:{first}-{count}:{session_id}"
        select: Select[Any] = Select(
            custom_id=custom_id,
            placeholder="Which files shall be yours?",
            options=options[:MAX_CHOICES] or [discord.SelectOption(label="…")],
            max_values=max(1, min(len(options), MAX_CHOICES)),
        )
        super().__init__(select)
        self.session_id = session_id
        self.first = first
        self.count = count

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: Any, match: re.Match[str], /) -> Self:
        """Make the select again from its id; what it offered does not matter any more."""
        return cls(match["session"], int(match["first"]), int(match["count"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Have the cog keep them."""
        cog: Turns | None = interaction.client.get_cog(TURNS)
        if cog is not None:
            await cog.chosen(interaction, self, [int(value) for value in self.item.values if value.isdecimal()])


#: What a bot has to know so that the buttons of earlier processes work.
DYNAMIC_ITEMS: tuple[type[DynamicItem[Any]], ...] = (TurnButton, KeepSelect, OfferButton, *FILE_ITEMS)


def row_of(*items: DynamicItem[Any]) -> discord.ui.View:
    """Return a view of these items, which is not remembered."""
    view = discord.ui.View(timeout=None)
    for item in items:
        view.add_item(item)
    view.stop()
    return view
