"""The buttons below files that came, and below an opened notebook. All they know is in their ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import discord
from discord.ui import ActionRow, Button, DynamicItem, LayoutView, Select, TextDisplay

from bot.upload_reply import Received
from bot.views.naming import MAX_CHOICES, TURNS

if TYPE_CHECKING:
    from bot.cogs.turns import Turns

Name = Literal["analyse", "extend", "delete", "open"]
_LOOKS: dict[Name, tuple[str, str, discord.ButtonStyle]] = {
    "analyse": ("Analyse", "🔎", discord.ButtonStyle.primary),
    "open": ("Open as session", "📓", discord.ButtonStyle.secondary),
    "extend": ("Extend", "⏳", discord.ButtonStyle.secondary),
    "delete": ("Delete", "🗑️", discord.ButtonStyle.danger),
}


class FileButton(DynamicItem[Button[Any]], template=rf"threadbook:file:(?P<name>{'|'.join(_LOOKS)}):(?P<file>[\w-]+)"):
    """A button below a file that came."""

    def __init__(self, name: Name, file_id: str) -> None:
        label, emoji, style = _LOOKS[name]
        super().__init__(Button(label=label, emoji=emoji, style=style, custom_id=f"threadbook:file:{name}:{file_id}"))
        self.name = name
        self.file_id = file_id

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: Any, match: re.Match[str], /) -> Self:
        """Make the button again from its id."""
        return cls(next(name for name in _LOOKS if name == match["name"]), match["file"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Have the cog do it."""
        cog: Turns | None = interaction.client.get_cog(TURNS)
        if cog is not None:
            await cog.file_pressed(interaction, self)


class RunAllButton(DynamicItem[Button[Any]], template=r"threadbook:cells:all:(?P<session>[\w.-]+)"):
    """Runs all cells of an opened notebook that did not run yet."""

    def __init__(self, session_id: str) -> None:
        style = discord.ButtonStyle.primary
        super().__init__(Button(label="Run all", emoji="▶️", style=style, custom_id=f"threadbook:cells:all:{session_id}"))
        self.session_id = session_id

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: Any, match: re.Match[str], /) -> Self:
        """Make the button again from its id."""
        return cls(match["session"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Have the cog run them."""
        cog: Turns | None = interaction.client.get_cog(TURNS)
        if cog is not None:
            await cog.run_notebook(interaction, self.session_id, None)


class RunUpToSelect(DynamicItem[Select[Any]], template=r"threadbook:cells:upto:(?P<session>[\w.-]+)"):
    """Runs the cells of an opened notebook up to one of them."""

    def __init__(self, session_id: str, numbers: Sequence[int] = ()) -> None:
        options = [discord.SelectOption(label=f"Run up to cell {number}", value=str(number)) for number in numbers[:MAX_CHOICES]]
        select: Select[Any] = Select(
            custom_id=f"threadbook:cells:upto:{session_id}",
            placeholder="Run up to cell …",
            options=options or [discord.SelectOption(label="…")],
        )
        super().__init__(select)
        self.session_id = session_id

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: Any, match: re.Match[str], /) -> Self:
        """Make the select again from its id."""
        return cls(match["session"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Have the cog run them."""
        cog: Turns | None = interaction.client.get_cog(TURNS)
        chosen = [int(value) for value in self.item.values if value.isdecimal()]
        if cog is not None and chosen:
            await cog.run_notebook(interaction, self.session_id, chosen[0])


FILE_ITEMS: tuple[type[DynamicItem[Any]], ...] = (FileButton, RunAllButton, RunUpToSelect)


def layout_of(files: Sequence[Received]) -> LayoutView:
    """Return the message about files that came."""
    view = LayoutView(timeout=None)
    for file in files:
        names: list[Name] = ["analyse", *(["open"] if file.notebook else []), "extend", "delete"]  # type: ignore[list-item]
        view.add_item(TextDisplay(file.text))
        view.add_item(ActionRow(*(FileButton(name, file.file_id) for name in names)))
    view.stop()
    return view


def notebook_layout(texts: Sequence[str], session_id: str, numbers: Sequence[int]) -> LayoutView:
    """Return a message of an opened notebook with what can be done; ``numbers`` are those of cells to choose from."""
    view = LayoutView(timeout=None)
    for text in texts:
        view.add_item(TextDisplay(text))
    if numbers:
        view.add_item(ActionRow(RunAllButton(session_id)))
        view.add_item(ActionRow(RunUpToSelect(session_id, numbers)))
    view.stop()
    return view
