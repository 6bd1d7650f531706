"""What comes with a message becomes files of whoever sent it, which the session of its place sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bot.agent.attachments import Attachment, attached
from bot.places import Place, TakenFile
from kernel_manager.sessions.session import Session

if TYPE_CHECKING:
    from bot.service import Service


async def take_in(
    service: Service, place: Place, session: Session, user_id: str, items: Sequence[dict[str, Any]]
) -> list[Attachment]:
    """Return the attachments as the model gets them; one that came in before is not taken a second time.

    What could not be had says why. Raises DatabaseError, StorageError.
    """
    known = {file.attachment_id: file for file in place.files if file.user_id == user_id and file.attachment_id}
    there: list[Attachment] = []
    wanted: list[dict[str, Any]] = []
    for item in items:
        again = await _taken_before(service, known.get(_id_of(item)), str(item["url"]))
        if again is not None:
            there.append(again)
        else:
            wanted.append(item)
    new = await service.hand_in.take(user_id, wanted) if wanted else []
    taken = [
        TakenFile(user_id, file.file_id, _id_of(item)) for item, file in zip(wanted, new, strict=True) if file.file_id is not None
    ]
    if taken:
        await service.places.note_files(place, taken)
        await session.add_files([file.ref for file in taken])
    return [*there, *new]


async def _taken_before(service: Service, known: TakenFile | None, url: str) -> Attachment | None:
    """An attachment that came in already, such as that of a message that is replied to."""
    found = await service.interpreter.files.pick([known.ref]) if known is not None else []
    return attached(found[0], url) if found else None


def _id_of(item: dict[str, Any]) -> int:
    return int(item.get("id") or 0)
