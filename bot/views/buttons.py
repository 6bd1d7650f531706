"""The buttons of a turn. All they know is in their ids, so that they work after a restart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

import discord
from discord.ui import Button, DynamicItem

from bot.posts import ButtonName

if TYPE_CHECKING:
    from bot.cogs.turns import Turns

#: The name under which a bot knows the cog that carries out what buttons ask for.
TURNS = "Threadbook turns"
_LOOKS: dict[ButtonName, tuple[str, str, discord.ButtonStyle]] = {
    "stop": ("Stop", "⏹️", discord.ButtonStyle.danger),
    "answer": ("Answer", "⌨️", discord.ButtonStyle.primary),
    "again": ("Run again", "🔁", discord.ButtonStyle.secondary),
    "edit": ("Edit & run", "✏️", discord.ButtonStyle.secondary),
    "code": ("Show code", "📄", discord.ButtonStyle.secondary),
    "notebook": ("Notebook", "📓", discord.ButtonStyle.secondary),
    "reset": ("Reset", "🧹", discord.ButtonStyle.secondary),
    "keep": ("Keep", "📌", discord.ButtonStyle.secondary),
}


class TurnButton(
    DynamicItem[Button[Any]], template=r"threadbook:(?P<name>[a-z]+):(?P<first>\d+)-(?P<count>\d+):(?P<session>[\w.-]+)"
):
    """A button below a turn; its ``count`` cells begin with the ``first`` of the session's history, counted from 0."""

    def __init__(self, name: ButtonName, session_id: str, first: int, count: int) -> None:
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
        name = match["name"]
        if name not in _LOOKS:
            raise ValueError(f"there is no button {name}")
        return cls(name, match["session"], int(match["first"]), int(match["count"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Have the cog do it."""
        cog: Turns | None = interaction.client.get_cog(TURNS)
        if cog is not None:
            await cog.pressed(interaction, self)
