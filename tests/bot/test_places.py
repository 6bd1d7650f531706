"""Places, as they are kept in the database."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.places import Place, Places, TakenFile
from kernel_manager.database.protocol import Database
from kernel_manager.database.sqlite import SqliteDatabase
from kernel_manager.files.selection import MAX_FILES


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = SqliteDatabase(tmp_path / "test.sqlite3")
    yield made
    await made.close()


async def test_a_place_is_the_same_for_the_next_process(database: Database) -> None:
    places = Places(database)
    place = await places.open(1, 2, "discord-1", guild_id=3, title="mine")
    place = await places.change(place, everyone=True, members=(4, 5), ended_at=datetime(2026, 3, 1, tzinfo=UTC))
    place = await places.note_files(place, [TakenFile("2", "f1", 9)])
    place = await places.note_handled(place, [10, 12])
    place = await places.begin_anew(place)
    assert place.session_ids == ["discord-1", "discord-1-1"]
    assert await Places(database).find(1) == place
    assert await Places(database).all() == [place]


async def test_a_place_of_the_first_version_is_read(database: Database) -> None:
    await database.set_config("discord_place_1", {"channel_id": 1, "owner_id": 2, "base": "discord-1", "resets": 1})
    assert await Places(database).find(1) == Place(1, 2, "discord-1", 1)


async def test_of_two_who_adopt_a_thread_the_first_one_owns_it(database: Database) -> None:
    first, second = await asyncio.gather(Places(database).open(1, 2, "discord-1"), Places(database).open(1, 3, "discord-1"))
    assert first == second


def with_member(number: int, place: Place) -> Place:
    return replace(place, members=(*place.members, number))


async def test_changes_at_once_lose_nothing(database: Database) -> None:
    places = Places(database)
    place = await places.open(1, 2, "discord-1")
    await asyncio.gather(
        *(places.update(place, functools.partial(with_member, number)) for number in range(20)),
        places.note_handled(place, [7]),
    )
    stored = await Places(database).find(1)
    assert stored is not None
    assert sorted(stored.members) == list(range(20))
    assert stored.handled == 7


async def test_what_was_handled_never_goes_back_and_files_are_bounded(database: Database) -> None:
    places = Places(database)
    place = await places.open(1, 2, "discord-1")
    await places.note_handled(place, [9])
    assert (await places.note_handled(place, [3])).handled == 9
    assert (await places.note_handled(place, [])).handled == 9
    for number in range(MAX_FILES + 5):
        place = await places.note_files(place, [TakenFile("2", f"f{number}")])
    assert (len(place.files), place.files[-1].file_id) == (MAX_FILES, f"f{MAX_FILES + 4}")


@pytest.mark.parametrize(
    ("place", "user", "may"),
    [
        (Place(1, 2, "s"), 2, True),
        (Place(1, 2, "s"), 3, False),
        (Place(1, 2, "s", members=(3,)), 3, True),
        (Place(1, 2, "s", everyone=True), 4, True),
    ],
)
def test_who_may_run_there(place: Place, user: int, may: bool) -> None:
    assert place.may_run(user) is may


async def test_a_user_is_forgotten_in_the_places_of_others(database: Database) -> None:
    places = Places(database)
    place = await places.open(1, 2, "discord-1")
    await places.change(place, members=(3, 4), files=(TakenFile("3", "theirs"), TakenFile("2", "own")))
    await places.forget_user(3)
    stored = await Places(database).find(1)
    assert stored is not None
    assert (stored.members, stored.files) == ((4,), (TakenFile("2", "own"),))
