"""Every error of an interaction becomes one line for who caused it; the log has the rest."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import discord

from bot.group import as_called
from bot.markdown import verbatim
from kernel_manager.errors import ThreadbookError

logger = logging.getLogger(__name__)


@asynccontextmanager
async def explained(interaction: discord.Interaction[Any]) -> AsyncIterator[None]:
    """Answer the interaction with what went wrong in the body, if anything did."""
    try:
        yield
    except ThreadbookError as exc:
        await answer(interaction, verbatim(str(exc), 1_500))
    except discord.HTTPException:
        raise
    except Exception:  # whoever asked gets an answer, whatever went wrong
        number = secrets.token_hex(4)
        logger.exception("error %s in an interaction of user %s", number, interaction.user.id)
        await answer(interaction, f"Something went wrong; tell the operator error {number}.")


async def answer(interaction: discord.Interaction[Any], text: str, **more: Any) -> None:
    """Tell the user something that only they see, whether the interaction was deferred or not."""
    nobody = discord.AllowedMentions.none()
    text = as_called(text, interaction.client)
    if interaction.response.is_done():
        await interaction.followup.send(text, ephemeral=True, allowed_mentions=nobody, **more)
    else:
        await interaction.response.send_message(text, ephemeral=True, allowed_mentions=nobody, **more)
