"""What all buttons have in common."""

from __future__ import annotations

#: The name under which a bot knows the cog that carries out what buttons ask for.
TURNS = "Threadbook turns"
#: Options that a select may have.
MAX_CHOICES = 25
