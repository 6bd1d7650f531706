"""The messages of a turn as they should be: panels of text, and messages of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.markdown import size, split_markdown
from bot.uploads import Upload, was_written

#: Characters of an ordinary message, and of a message of components.
MESSAGE_LIMIT = 2_000
PANEL_LIMIT = 4_000
#: Components of a message, and the texts among them: a row of buttons takes the rest.
COMPONENT_LIMIT = 40
MAX_TEXTS = COMPONENT_LIMIT - 6

ButtonName = Literal["stop", "answer", "again", "edit", "code", "notebook", "reset", "keep"]


@dataclass(frozen=True, slots=True)
class Panel:
    """A message of texts, one below the other; none can format another. ``buttons`` are the names of those below them."""

    texts: tuple[str, ...]
    buttons: tuple[ButtonName, ...] = ()

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.texts)


@dataclass(frozen=True, slots=True)
class Files:
    """A message of files."""

    uploads: tuple[Upload, ...]

    @property
    def buttons(self) -> tuple[ButtonName, ...]:
        """What can be done with them: what the code wrote can be kept."""
        return ("keep",) if any(map(was_written, self.uploads)) else ()


Post = Panel | Files


def posts_of(parts: Iterable[str | Files], begun: Sequence[Post] = ()) -> list[Post]:
    """Return the messages that have these texts and files, in order, each as full as it may be; those ``begun`` go on."""
    posts = list(begun)
    for part in parts:
        if isinstance(part, Files):
            posts.append(part)
            continue
        for piece in split_markdown(part, PANEL_LIMIT):
            last = posts[-1] if posts else None
            if isinstance(last, Panel) and _has_room(last, piece):
                posts[-1] = Panel((*last.texts, piece))
            else:
                posts.append(Panel((piece,)))
    return posts


def _has_room(panel: Panel, piece: str) -> bool:
    return len(panel.texts) < MAX_TEXTS and sum(map(size, panel.texts)) + size(piece) <= PANEL_LIMIT
