"""What people take away from a turn: the session as a notebook, its code, files that the code wrote."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Sequence
from typing import Any, Literal

import discord

from bot.cogs.errors import answer
from bot.conversation import file_limit
from bot.markdown import fenced, head, size, verbatim
from bot.places import Place
from bot.posts import MESSAGE_LIMIT
from bot.service import Service
from bot.upload_reply import expiry
from bot.uploads import shown_name
from bot.views.buttons import KeepSelect, TurnButton, row_of
from bot.views.naming import MAX_CHOICES
from kernel_manager.errors import ThreadbookError, UsageError
from kernel_manager.execution.result import WrittenFile
from kernel_manager.sessions.history import Cell
from notebooks_export import ExportOptions, export_session

SEPARATOR = "\n\n# %%\n"
_MAX_NOTES = 5


async def cells_of(service: Service, place: Place, session_id: str, first: int, count: int) -> list[Cell]:
    """Return the cells of a turn; raises UsageError if they are gone."""
    session = await service.interpreter.session(place.user_id, session_id, create=False)
    cells = (await asyncio.to_thread(session.read_history)).cells[first : first + count]
    if not cells:
        raise UsageError("the cells of this turn are not in the session's history any more")
    return cells


async def send_notebook(
    interaction: discord.Interaction[Any],
    service: Service,
    place: Place,
    session_id: str,
    form: str = "notebook",
    *,
    verify: bool = False,
) -> None:
    """Send a session to who asks, as a ``notebook``, as ``html``, or as a ``bundle`` with its data; offer the other two.

    ``verify`` runs it again in a fresh kernel first, and says what of it reproduces.
    """
    await interaction.response.defer(ephemeral=True, thinking=True)
    text, file = await exported(interaction, service, place.user_id, session_id, form, verify=verify)
    others = [TurnButton("html", session_id), TurnButton("bundle", session_id)] if form == "notebook" else []
    more: dict[str, Any] = {"view": row_of(*others)} if others else {}
    await answer(interaction, text, file=file, **more)


async def exported(
    interaction: discord.Interaction[Any], service: Service, user_id: str, session_id: str, form: str, *, verify: bool = False
) -> tuple[str, discord.File]:
    """Return a session in one of these forms, and what is to be said of it, within what Discord takes where it is asked for."""
    session = await service.interpreter.session(user_id, session_id, create=False)
    limit = file_limit(interaction.guild)
    kind: Literal["html", "ipynb"] = "html" if form == "html" else "ipynb"
    options = ExportOptions(format=kind, bundle=form == "bundle", verify=verify, max_bytes=limit)
    export = await export_session(service.interpreter, session, options)
    name, content = export.as_one_file()
    what = {"html": "web page: it opens in any browser", "bundle": "notebook with its data and packages"}.get(form, "notebook")
    notes = [f"-# {verbatim(note, 300)}" for note in export.notes[:_MAX_NOTES]]
    if export.verification is not None:
        notes.insert(0, f"Run again in a fresh kernel: {verbatim(export.verification.sentence, 500)}")
    return head("\n".join([f"The session as a {what}.", *notes]), MESSAGE_LIMIT), discord.File(io.BytesIO(content), name)


async def show_code(interaction: discord.Interaction[Any], codes: Sequence[str], text: str = "") -> None:
    """Show the code of cells to who asks, as a file if it is long."""
    blocks = "\n".join([*([text] if text else []), *(fenced(code, "py") for code in codes)])
    if size(blocks) <= MESSAGE_LIMIT:
        await answer(interaction, blocks)
        return
    file = discord.File(io.BytesIO(SEPARATOR.join(codes).encode("utf-8", "replace")), "code.py")
    await answer(interaction, text or "The code:", file=file)


# --- files that the code wrote --------------------------------------------------------------------------------------


def written_by(cells: Sequence[Cell]) -> list[WrittenFile]:
    """Return the files that cells wrote, each once, in order."""
    return list({file.filename: file for cell in cells for file in cell.files}.values())


def attached(files: Sequence[WrittenFile], attachments: Sequence[str]) -> list[WrittenFile]:
    """Return the files that are attached to a message under these names; all, if it cannot be told which."""
    names = set(map(_letters, attachments))
    return [file for file in files if _letters(shown_name(file.filename)) in names] or list(files)


def _letters(name: str) -> str:
    """What Discord leaves of a file's name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


async def offer_to_keep(interaction: discord.Interaction[Any], service: Service, place: Place, button: TurnButton) -> None:
    """Make the file of a message the user's; where it has several, ask which."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    files = written_by(await cells_of(service, place, button.session_id, button.first, button.count))
    names = [attachment.filename for attachment in interaction.message.attachments] if interaction.message is not None else []
    found = attached(files, names)
    if len(found) == 1:
        await keep(interaction, service, place, button.session_id, found)
        return
    select = KeepSelect(button.session_id, button.first, button.count, [file.filename for file in files])
    more = f" Only the first {MAX_CHOICES} are listed; `/files keep` takes any name." if len(files) > MAX_CHOICES else ""
    await answer(interaction, f"A file that is kept is yours like one that you attached.{more}", view=row_of(select))


async def keep(
    interaction: discord.Interaction[Any], service: Service, place: Place, session_id: str, files: Sequence[WrittenFile]
) -> None:
    """Make files of a session the user's, and say of each what came of it."""
    lines = []
    for file in files:
        try:
            added = await service.interpreter.files.keep(place.user_id, session_id, file.filename, owner=interaction.user.id)
        except ThreadbookError as exc:
            lines.append(f"⚠️ {verbatim(file.filename, 100)}: {verbatim(str(exc), 300)}")
            continue
        lines.append(f"📌 {verbatim(added.file.filename, 100)} is yours: `{added.file.file_id}`, {expiry(added.file)}")
        lines += [f"-# {verbatim(old.filename, 100)} went to make room" for old in added.removed[:_MAX_NOTES]]
    await answer(interaction, head("\n".join(lines) or "There is nothing to keep.", MESSAGE_LIMIT))
