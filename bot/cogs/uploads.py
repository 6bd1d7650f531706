"""What people do with files that came: analyse, extend, delete them, and open a notebook as a session."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import discord

from bot.cogs.errors import answer
from bot.cogs.places import own_place_of, place_of
from bot.conversation import FULL, Incoming
from bot.direct_turn import DirectCell
from bot.markdown import verbatim
from bot.opened_notebook import choices, notebook_panels
from bot.opening_threads import NoThreadError, adopted, new_thread
from bot.places import Place, thread_session
from bot.service import Service
from bot.upload_reply import expiry
from bot.views.file_buttons import FileButton, notebook_layout
from kernel_manager import UserFile
from kernel_manager.errors import ThreadbookError, UsageError
from notebooks_export import Imported, import_notebook
from notebooks_export.importing import MAX_BYTES, waiting_cells

_ANALYSE = "Analyse the file {name} (file_id {file_id}): say what it holds, and show what is worth seeing."
_ANALYSE_CODE = "data = load_file({file_id!r})  # {name}\ndata.describe(include='all') if hasattr(data, 'describe') else data"


async def file_pressed(interaction: discord.Interaction[Any], service: Service, button: FileButton) -> None:
    """Carry out what a button below a file asks for."""
    match button.name:
        case "extend":
            file = await service.interpreter.files.extend(interaction.user.id, button.file_id)
            await answer(interaction, f"{verbatim(file.filename)} {expiry(file)}.")
        case "delete":
            file = await service.interpreter.files.remove(interaction.user.id, button.file_id)
            await answer(interaction, f"{verbatim(file.filename)} is deleted.")
            await service.interpreter.refresh_selections()  # sessions that others share with the user have it no more
        case "analyse":
            file = await service.interpreter.files.find(interaction.user.id, button.file_id)
            await _analyse(interaction, service, file)
        case "open":
            await interaction.response.defer(ephemeral=True, thinking=True)
            file = await service.interpreter.files.find(interaction.user.id, button.file_id)
            await _open(interaction, service, file)


async def _analyse(interaction: discord.Interaction[Any], service: Service, file: UserFile) -> None:
    place = await place_of(service, interaction)
    name = " ".join(file.filename.split())
    if service.agent is not None:
        incoming = Incoming(interaction.user.display_name, _ANALYSE.format(name=name, file_id=file.file_id))
    else:
        code = _ANALYSE_CODE.format(name=name, file_id=file.file_id)
        incoming = Incoming(interaction.user.display_name, "", (code,))
    await queue(interaction, service, place, incoming, "Looking into it.")


async def queue(
    interaction: discord.Interaction[Any], service: Service, place: Place, incoming: Incoming, doing: str = "Running it."
) -> None:
    """Have something answered at a place, and say so to who asked."""
    channel = interaction.channel
    if not isinstance(channel, discord.abc.Messageable):
        raise UsageError("nothing can run in this channel")
    taken = service.conversation(place, channel).add(replace(incoming, user_id=interaction.user.id))
    await answer(interaction, doing if taken else FULL)


# --- notebooks --------------------------------------------------------------------------------------------------------


async def _open(interaction: discord.Interaction[Any], service: Service, file: UserFile) -> None:
    """Make a session of a notebook, in a thread of its own where that is possible, else here."""
    with await service.interpreter.files.open(interaction.user.id, file.file_id) as stream:
        content = await asyncio.to_thread(stream.read, MAX_BYTES + 1)
    thread = await _new_thread(interaction, file.filename)
    place = None if thread is not None else await own_place_of(service, interaction)
    channel = thread if thread is not None else interaction.channel
    if not isinstance(channel, discord.abc.Messageable):
        raise UsageError("a notebook cannot be opened in this channel")
    session_id = thread_session(thread.id) if thread is not None else f"notebook-{interaction.id}"
    try:
        _, imported = await import_notebook(service.interpreter, interaction.user.id, content, file.filename, session_id)
    except ThreadbookError:
        if thread is not None:
            await thread.delete()
        raise
    if thread is not None:
        await adopted(service, thread, interaction.user.id, interaction.id)
    if place is not None:
        await service.move(place, session_id)
    await _show(channel, imported, file.filename, session_id)
    where = f"It is open: {thread.mention}" if thread is not None else "It is open, and goes on here."
    await answer(interaction, where)


async def _new_thread(interaction: discord.Interaction[Any], filename: str) -> discord.Thread | None:
    channel = interaction.channel
    parent = channel.parent if isinstance(channel, discord.Thread) else channel
    if not isinstance(parent, discord.TextChannel):
        return None
    private = isinstance(channel, discord.Thread) and channel.is_private()
    try:
        return await new_thread(parent, interaction.user, name=filename, private=private)
    except NoThreadError:
        return None


async def _show(channel: discord.abc.Messageable, imported: Imported, filename: str, session_id: str) -> None:
    panels = await asyncio.to_thread(notebook_panels, imported, filename)
    numbers = choices(range(1, len(imported.cells) + 1))
    for panel in panels:
        view = notebook_layout(panel.texts, session_id, numbers if panel is panels[-1] else ())
        await channel.send(view=view, allowed_mentions=discord.AllowedMentions.none())


async def run_notebook(interaction: discord.Interaction[Any], service: Service, session_id: str, up_to: int | None) -> None:
    """Run the cells of an opened notebook that did not run yet, all or up to one."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    place = await place_of(service, interaction)
    if place.session_id != session_id:
        raise UsageError("this notebook is not what goes on here any more: open it again")
    history = await asyncio.to_thread((await service.session_of(place)).read_history)
    waiting = waiting_cells(history, min(up_to, len(history.cells)) if up_to is not None and history.cells else None)
    if not waiting:
        raise UsageError("these cells have run already: send code, or run a turn again")
    cells = [DirectCell(cell.code, cell.cell_id, may_fail=cell.status not in ("ok", None)) for _, cell in waiting]
    await queue(interaction, service, place, Incoming(interaction.user.display_name, "", tuple(cells)))
