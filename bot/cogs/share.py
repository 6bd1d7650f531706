"""``/share`` and ``/unshare``: who may run something in a session besides its owner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import discord
from discord import app_commands

from bot.cogs.errors import answer, deferred
from bot.cogs.gated import Gated
from bot.cogs.offers import Offers
from bot.cogs.places import check_owner, own_place_of
from bot.places import Place
from bot.service import Service
from bot.views.offers import offer
from kernel_manager.errors import UsageError

_EVERYONE = "all"
_MAX_MEMBERS = 100
WARNING = """\
**{who}** may then run code and ask in this session, and see what is in it. Is that what you want?
• A fresh kernel begins: the variables are gone, what was said and what the code wrote stays.
• The code sees only the files that came into this thread, whoever sent them. Your other files stay out of reach.
• Who asks is charged. You stay the owner: `/reset` and `/unshare` are yours."""
WIDER = "**Everybody** who can write here may then run code and ask in this session. Is that what you want?"
ENDED = """\
Only you may run things here again. The session keeps to the files of this thread; `/reset` begins one that sees all of yours."""


class Share(Gated, name="Threadbook sharing"):
    """See the module."""

    def __init__(self, service: Service, offers: Offers) -> None:
        super().__init__(service)
        offers.on("share", self._confirmed)

    @app_commands.command(name="share", description="Let others run things in this session, too; without a choice: who may")
    @app_commands.describe(member="Who may", everyone="Everybody who can write here may")
    async def share(
        self, interaction: discord.Interaction[Any], member: discord.User | None = None, everyone: bool = False
    ) -> None:
        """Ask before it is turned on; then add who else may."""
        async with deferred(interaction):
            await self.allow(interaction)
            place = await own_place_of(self._service, interaction)
            if place.guild_id is None:
                raise UsageError("direct messages are between you and me: use this in a thread")
            if member is None and not everyone:
                await answer(interaction, shared_with(place))
                return
            if member is not None and (member.bot or member.id == place.owner_id):
                raise UsageError("name somebody else, who is no bot")
            about = _EVERYONE if everyone or member is None else str(member.id)
            if place.shared and about != _EVERYONE:
                await answer(interaction, await self._share(interaction, place, about))
                return
            who = "Everybody here" if about == _EVERYONE else f"<@{about}>"
            text = WIDER if place.shared else WARNING.format(who=who)
            await answer(interaction, text, view=offer("share", f"{place.channel_id}-{about}"))

    @app_commands.command(name="unshare", description="Have this session for yourself again, or take it from one")
    @app_commands.describe(member="Who may not any more; without: nobody but you")
    async def unshare(self, interaction: discord.Interaction[Any], member: discord.User | None = None) -> None:
        """Take it back."""
        async with deferred(interaction):
            await self.allow(interaction)
            place = await own_place_of(self._service, interaction)
            if not place.shared:
                raise UsageError("this session is not shared")
            left = () if member is None else self._without(place, member.id)
            place = await self._service.places.change(place, everyone=False, members=left)
            await answer(interaction, shared_with(place) if place.shared else ENDED)

    async def _confirmed(self, interaction: discord.Interaction[Any], about: str) -> str:
        channel, _, who = about.partition("-")
        place = await self._service.places.find(int(channel))
        if place is None or interaction.channel_id != place.channel_id:
            raise UsageError("this is no session any more")
        check_owner(place, interaction)
        return await self._share(interaction, place, who)

    async def _share(self, interaction: discord.Interaction[Any], place: Place, who: str) -> str:
        self._check_idle(place)
        if who == _EVERYONE:
            place = await self._service.places.change(place, everyone=True)
        else:
            place = await self._service.places.update(place, lambda now: _with_member(now, int(who)))
        await self._service.session_of(place)  # from now on it sees the files of this thread alone
        await _invite(interaction.channel, who)
        if isinstance(interaction.channel, discord.abc.Messageable):
            text = f"<@{place.owner_id}> shares this session with {_who(place)}. Just write; who asks is charged."
            await interaction.channel.send(text, allowed_mentions=discord.AllowedMentions.none())
        return shared_with(place)

    def _without(self, place: Place, member: int) -> tuple[int, ...]:
        if place.everyone:
            raise UsageError("everybody may run here: use /unshare without a name, then share it with those who may")
        if member not in place.members:
            raise UsageError("this session is not shared with them")
        return tuple(other for other in place.members if other != member)

    def _check_idle(self, place: Place) -> None:
        conversation = self._service.running(place.channel_id)
        if conversation is not None and conversation.busy:
            raise UsageError("a turn runs here: wait for its end, or stop it")


def shared_with(place: Place) -> str:
    """Return who may run something at a place."""
    if not place.shared:
        return "Only you may run things in this session. `/share` lets others, too."
    return f"You and {_who(place)} may run things in this session; it sees the {len(place.files)} files that came in here."


def _who(place: Place) -> str:
    return "everybody here" if place.everyone else ", ".join(f"<@{member}>" for member in place.members)


async def _invite(channel: object, who: str) -> None:
    """A private thread is seen only by those who are in it."""
    if isinstance(channel, discord.Thread) and channel.is_private() and who != _EVERYONE:
        try:
            await channel.add_user(discord.Object(int(who)))
        except discord.HTTPException as exc:
            raise UsageError("they may run here now, but I could not add them to this thread: do that yourself") from exc


def _with_member(place: Place, member: int) -> Place:
    if len(place.members) >= _MAX_MEMBERS:
        raise UsageError(f"a session can be shared with {_MAX_MEMBERS} people, or with everyone")
    return replace(place, members=tuple(dict.fromkeys((*place.members, member))))
