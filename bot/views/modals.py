"""Forms: an answer to ``input()``, and code to edit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import discord
from discord.ui import Modal, TextInput

from bot.markdown import head, plain

#: Characters that a field of a form takes.
MAX_FIELD = 4_000
_MAX_LABEL = 45
Submitted = Callable[[discord.Interaction, str], Awaitable[None]]


class _Form(Modal):
    """One field; ``submitted`` gets the interaction and the text."""

    def __init__(self, title: str, label: str, submitted: Submitted, default: str | None = None) -> None:
        super().__init__(title=title, timeout=1_800)
        self._submitted = submitted
        self._field: TextInput[_Form] = TextInput(
            label=head(label, _MAX_LABEL),
            style=discord.TextStyle.paragraph,
            default=default,
            max_length=MAX_FIELD,
            required=False,
        )
        self.add_item(self._field)

    async def on_submit(self, interaction: discord.Interaction) -> None:
        """Pass the text on."""
        await self._submitted(interaction, self._field.value)


class AnswerModal(_Form):
    """Asks for one line or more."""

    def __init__(self, prompt: str, submitted: Submitted, *, secret: bool = False) -> None:
        asked = " ".join(plain(prompt).split())
        super().__init__("Answer (neither shown nor kept)" if secret else "Answer", asked or "The code asks for input", submitted)


class CodeModal(_Form):
    """Shows code to be changed and run."""

    def __init__(self, code: str, submitted: Submitted) -> None:
        super().__init__("Edit & run", "A line # %% begins another cell", submitted, default=code)
