"""The form in which a person answers ``input()``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import discord
from discord.ui import Modal, TextInput

_MAX_ANSWER = 4_000


class AnswerModal(Modal):
    """Asks for one line or more; ``submitted`` gets the interaction and the text."""

    def __init__(self, prompt: str, submitted: Callable[[discord.Interaction, str], Awaitable[None]]) -> None:
        super().__init__(title="Answer", timeout=600)
        self._submitted = submitted
        self._field: TextInput[AnswerModal] = TextInput(
            label=(prompt.strip() or "The code asks for input")[:45],
            style=discord.TextStyle.paragraph,
            max_length=_MAX_ANSWER,
            required=False,
        )
        self.add_item(self._field)

    async def on_submit(self, interaction: discord.Interaction) -> None:
        """Pass the answer on."""
        await self._submitted(interaction, self._field.value)
