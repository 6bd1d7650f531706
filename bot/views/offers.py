"""Buttons with which the bot offers to do something. All they know is in their ids, so that they work after a restart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Self

import discord
from discord.ui import Button, DynamicItem, View

if TYPE_CHECKING:
    from bot.cogs.offers import Offers

#: The name under which a bot knows the cog that carries out what was offered.
OFFERS = "Threadbook offers"
OfferName = Literal["edited", "missed", "late", "direct", "share", "forget"]
_LOOKS: dict[OfferName, tuple[str, discord.ButtonStyle]] = {
    "edited": ("Run it again", discord.ButtonStyle.primary),
    "missed": ("Run it now", discord.ButtonStyle.primary),
    "late": ("Answer it now", discord.ButtonStyle.primary),
    "direct": ("Go on in direct messages", discord.ButtonStyle.primary),
    "share": ("Share this session", discord.ButtonStyle.danger),
    "forget": ("Delete everything of mine", discord.ButtonStyle.danger),
}


class OfferButton(DynamicItem[Button[Any]], template=r"threadbook-offer:(?P<name>[a-z]+):(?P<about>[\w-]*)"):
    """A button that does what it says when somebody presses it; ``about`` is what it is about."""

    def __init__(self, name: OfferName, about: str) -> None:
        label, style = _LOOKS[name]
        super().__init__(Button(label=label, style=style, custom_id=f"threadbook-offer:{name}:{about}"))
        self.name = name
        self.about = about

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: Any, match: re.Match[str], /) -> Self:
        """Make the button again from its id."""
        name = match["name"]
        if name not in _LOOKS:
            raise ValueError(f"there is no offer {name}")
        return cls(name, match["about"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Have the cog do it."""
        cog: Offers | None = interaction.client.get_cog(OFFERS)
        if cog is not None:
            await cog.accepted(interaction, self)


def offer(name: OfferName, about: object) -> View:
    """Return a view with one such button, which nothing has to remember."""
    view = View(timeout=None)
    view.add_item(OfferButton(name, str(about)))
    view.stop()
    return view
