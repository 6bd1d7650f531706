"""Marks what comes from files, code and other people as data, so that a model can tell it from its instructions."""

from __future__ import annotations

import re

#: The kinds of data that reach a model. The system prompt names them.
KINDS = ("output", "attachment", "variables", "note", "files")
#: Characters that nobody sees: a tag is a tag to a model whether or not some stand within.
_UNSEEN = "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]*+"
_NAMES = "|".join(_UNSEEN.join(kind) for kind in KINDS)
#: Brackets and strokes as they may look: also wide, small and single-quotation ones.
_BRACKET, _STROKE = "[<\uff1c\ufe64\u2039\u3008]", "[/\uff0f\u2215\u2044]"
#: What looks like one of our tags, also with blanks around the stroke.
_TAG = re.compile(rf"{_BRACKET}(?P<rest>{_UNSEEN}(?:\s*+{_STROKE}\s*+)?{_UNSEEN})(?={_NAMES})", re.IGNORECASE)


def marked(kind: str, text: str, /, **attributes: str) -> str:
    """Return the text between the tags of its kind. What looks like one of our tags inside cannot end it."""
    names = "".join(f' {name}="{_attribute(value)}"' for name, value in attributes.items())
    inside = _TAG.sub(r"<\\\g<rest>", text)
    return f"<{kind}{names}>\n{inside}\n</{kind}>"


def _attribute(value: str) -> str:
    return one_line(value).replace('"', "'").replace("<", "(").replace(">", ")")


def one_line(text: str, limit: int = 200) -> str:
    """Return the text in one line of at most that many characters."""
    return " ".join(text[: 2 * limit].split())[:limit]


def clip(text: str, limit: int) -> str:
    """Return at most about ``limit`` characters: the head, the tail, and between them how many were cut."""
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head
    left_out = len(text) - head - tail
    return f"{text[:head]}\n[… {left_out:,} characters cut …]\n{text[len(text) - tail :]}"
