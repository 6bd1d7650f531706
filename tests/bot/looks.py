"""Messages as text that can be read and compared: what stands in them, their files, their buttons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.agent.events import AgentEvent, CodeEnded, CodeStarted, TurnEnded, TurnUsage
from bot.posts import Files, Panel, Post
from bot.rendering import TurnRendering
from bot.uploads import Upload
from kernel_manager.execution.result import ExecutionResult

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MIB = 2**20


def look(posts: Sequence[Post]) -> str:
    """The messages, divided by lines of dashes; components by a dot in front."""
    return "\n----\n".join("\n".join(_lines(post)) for post in posts)


def _lines(post: Post) -> Iterable[str]:
    if isinstance(post, Panel):
        yield from (f"· {text}" for text in post.texts)
    else:
        yield from map(_file, post.uploads)
    if post.buttons:
        yield " ".join(f"[{name}]" for name in post.buttons)


def _file(upload: Upload) -> str:
    members = f" of {', '.join(each.filename for each in upload.content)}" if isinstance(upload.content, tuple) else ""
    return f"📎 {upload.filename}{members}{f' “{upload.description}”' if upload.description else ''}"


def rendering_of(*events: AgentEvent | float, limit: int = 10 * MIB, planned: int = 0) -> TurnRendering:
    """A rendering that has taken these events; a number lets so many seconds go by, and figures settle."""
    rendering, now = TurnRendering(limit, planned), NOW
    for event in events:
        if isinstance(event, float):
            now += timedelta(seconds=event)
            rendering.settle(now)
        else:
            rendering.take(event, now)
    return rendering


def rendered(*events: AgentEvent | float, limit: int = 10 * MIB, planned: int = 0) -> list[Post]:
    return rendering_of(*events, limit=limit, planned=planned).posts()


def looks(*events: AgentEvent | float, **more: Any) -> str:
    return look(rendered(*events, **more))


def ended(status: Any = "completed", reason: str | None = None) -> TurnEnded:
    return TurnEnded(status, "", TurnUsage(seconds=0.25), reason)


def result(*outputs: dict[str, Any], status: Any = "ok", **more: Any) -> ExecutionResult:
    return ExecutionResult(status, 1, list(outputs), duration_s=0.25, **more)


def cell(*outputs: dict[str, Any], **more: Any) -> tuple[CodeStarted, CodeEnded]:
    return CodeStarted(1, "code"), CodeEnded(1, result(*outputs, **more))


def stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def shown(data: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def panels(posts: Sequence[Post]) -> list[Panel]:
    return [post for post in posts if isinstance(post, Panel)]


def files(posts: Sequence[Post]) -> list[Upload]:
    return [upload for post in posts if isinstance(post, Files) for upload in post.uploads]
