"""Bytes, the kernels' list and the database's records of one user, compared: what has to be done so that they agree. Pure.

What a crash can leave, and what follows:

* bytes and a record, not on the list: the file was being added or removed; it goes (back) onto the list;
* bytes that nothing knows of: the file was being added; they go;
* on the list without bytes, or a record without bytes: the file was being removed; list and record forget it;
* bytes on the list without a record: if the database is the one that knew it, somebody removed the record, and the bytes
  follow; if it is another one, because it was replaced or lost, the record is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from kernel_manager.database.protocol import FileRecord
from kernel_manager.files.index import ShelfEntry
from kernel_manager.files.user_file import entry_of, is_ours, record_of

_OUR_NAME = re.compile(r"([0-9a-f]{16})-.+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order."""

    save: list[FileRecord] = field(default_factory=list)
    enlist: list[ShelfEntry] = field(default_factory=list)
    delist: list[str] = field(default_factory=list)
    unlink: list[str] = field(default_factory=list)
    forget: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.save or self.enlist or self.delist or self.unlink or self.forget)

    def __str__(self) -> str:
        said: dict[str, Sequence[object]] = {
            "records written": self.save,
            "listed again": self.enlist,
            "taken off the list": self.delist,
            "orphaned bytes removed": self.unlink,
            "orphaned records removed": self.forget,
        }
        return ", ".join(f"{what}: {len(things)}" for what, things in said.items() if things)


def plan_of(
    folder: Path,
    user_id: str,
    entries: Sequence[ShelfEntry],
    sizes: Mapping[str, int],
    records: Sequence[FileRecord],
    *,
    store: str,
    same_database: bool,
    now: datetime,
) -> Plan:
    """Return what to do about the files of a user.

    ``sizes`` are those of the files in the folder by name, ``records`` those of the user; ``store`` is the data folder's id.
    ``same_database`` says that the database has known every file on the list. Records of files elsewhere are left alone.
    """
    plan = Plan()
    known = {record["file_id"]: record for record in records if is_ours(record, folder, store)}
    known |= {record["file_id"]: record for record in records if record["file_id"] in {entry.file_id for entry in entries}}
    for entry in entries:
        if entry.path not in sizes:
            plan.delist.append(entry.file_id)
        elif entry.file_id in known:
            _bring_in_line(plan, entry, known[entry.file_id], folder, store)
        elif same_database or _expired(entry, now):
            plan.delist.append(entry.file_id)
            plan.unlink.append(entry.path)
        else:
            plan.save.append(record_of(entry, user_id, folder, store))
    _see_to_unlisted_bytes(plan, sizes, {entry.path for entry in entries}, known, folder)
    on_shelf = {entry.file_id for entry in plan.enlist} | {entry.file_id for entry in entries if entry.path in sizes}
    plan.forget.extend(file_id for file_id in known if file_id not in on_shelf)
    return plan


def _bring_in_line(plan: Plan, entry: ShelfEntry, record: FileRecord, folder: Path, store: str) -> None:
    """The record is right about the expiry, the list about the place: the data folder may have been moved."""
    wanted = entry_of(record, entry.path).expires_at
    if (record["file_path"], record.get("store")) != (str(folder / entry.path), store):
        plan.save.append({**record, "file_path": str(folder / entry.path), "store": store})
    if not _same_time(wanted, entry.expires_at):
        plan.enlist.append(entry_of(record, entry.path))


def _see_to_unlisted_bytes(
    plan: Plan, sizes: Mapping[str, int], listed: set[str], known: Mapping[str, FileRecord], folder: Path
) -> None:
    for name, size in sizes.items():
        ours = _OUR_NAME.fullmatch(name)
        if name in listed or ours is None:
            continue  # what has no name of ours was put there by a person
        record = known.get(ours[1])
        if record is None or record["file_size"] != size:
            plan.unlink.append(name)
            continue
        plan.enlist.append(entry_of(record, name))
        if record["file_path"] != str(folder / name):
            plan.save.append({**record, "file_path": str(folder / name)})


def _expired(entry: ShelfEntry, now: datetime) -> bool:
    return entry.expires_at is not None and datetime.fromisoformat(entry.expires_at) <= now


def _same_time(one: str | None, other: str | None) -> bool:
    """Whether two times are the same to the millisecond, which is what databases keep."""
    if one is None or other is None:
        return one is other
    return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds()) < 0.001
