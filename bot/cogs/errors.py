"""Every error of an interaction becomes one line for who caused it; the log has the rest."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import discord

from bot.failures import failure_line, noted_failure
from bot.group import as_called
from bot.markdown import verbatim
from kernel_manager.errors import UsageError


@asynccontextmanager
async def explained(interaction: discord.Interaction[Any]) -> AsyncIterator[None]:
    """Answer the interaction with what went wrong in the body, if anything did."""
    try:
        yield
    except UsageError as exc:
        await answer(interaction, verbatim(str(exc), 1_500))
    except Exception as exc:  # noqa: BLE001  (whoever asked gets an answer, whatever went wrong)
        await answer_failure(interaction, exc)


@asynccontextmanager
async def deferred(interaction: discord.Interaction[Any]) -> AsyncIterator[None]:
    """The same for what may take its time: Discord waits, and only who asked sees the answer."""
    async with explained(interaction):
        await interaction.response.defer(ephemeral=True, thinking=True)
        yield


async def answer_failure(interaction: discord.Interaction[Any], error: BaseException) -> None:
    """Tell the user that something went wrong, in one line with an id; the log has the rest under the same id."""
    number = noted_failure(error, f"an interaction of user {interaction.user.id}")
    with contextlib.suppress(discord.HTTPException):  # what failed may be Discord itself
        await answer(interaction, failure_line(error, number))


async def answer(interaction: discord.Interaction[Any], text: str, **more: Any) -> None:
    """Tell the user something that only they see, whether the interaction was deferred or not."""
    nobody = discord.AllowedMentions.none()
    text = as_called(text, interaction.client)
    if interaction.response.is_done():
        await interaction.followup.send(text, ephemeral=True, allowed_mentions=nobody, **more)
    else:
        await interaction.response.send_message(text, ephemeral=True, allowed_mentions=nobody, **more)
