"""Assistants and usage, on every kind of database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from bot.agent.assistants import Assistants, of_folder, ready_made
from bot.agent.errors import EndpointDownError, UnknownAssistantError
from bot.agent.events import TurnUsage
from bot.agent.models.protocol import TokenUsage
from bot.agent.models.scripted import ScriptedClient
from bot.agent.usage import Account, DailyLimits, UsageBook
from kernel_manager.database.mongo import MongoDatabase
from kernel_manager.database.protocol import Database
from kernel_manager.database.sqlite import SqliteDatabase
from kernel_manager.errors import UsageError
from tests.mongo_server import mongo_server

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def clock() -> datetime:
    return NOON


@pytest.fixture(scope="module")
def wire_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mongo_server(tmp_path_factory.mktemp("mongo")) as uri:
        yield uri


@pytest.fixture(params=["sqlite", "pymongo", "motor"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        sqlite = SqliteDatabase(tmp_path / "test.sqlite3", clock)
        await sqlite.open()
        yield sqlite
        await sqlite.close()
        return
    uri = request.getfixturevalue("wire_uri")
    client: Any = AsyncIOMotorClient(uri) if request.param == "motor" else AsyncMongoClient[dict[str, Any]](uri, tz_aware=True)
    mongo = MongoDatabase(client["assistants"], "mongodb://test", clock=clock)
    await mongo.open()
    yield mongo
    await client.drop_database("assistants")
    if (closing := client.close()) is not None:
        await closing


def client_of(*models: str) -> ScriptedClient:
    return ScriptedClient([], model_names=list(models) or ["m"])


class TestTheStart:
    async def test_creates_and_stores_an_assistant_and_then_uses_it(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "bot.agent.assistants")
        first = await Assistants(database).start(client_of(), "m")
        assert await database.get_config("assistant_id") == first.assistant_id == "data-analyst"
        assert "created assistant data-analyst" in caplog.text
        caplog.clear()
        assert await Assistants(database).start(client_of(), "m") == first
        assert "using assistant data-analyst" in caplog.text
        assert "created" not in caplog.text

    async def test_honours_an_id_that_was_inserted_by_hand(self, database: Database) -> None:
        await database.save_assistant("mine", name="Mine", instructions="Do it my way.")
        await database.set_config("assistant_id", "mine")
        assistants = Assistants(database)
        assert (await assistants.start(client_of(), "m")).name == "Mine"
        assert (await assistants.of_user("u")).name == "Mine"

    @pytest.mark.parametrize("left", ["asst_abc123", "pmpt_abc123", "deleted", 7])
    async def test_replaces_an_id_that_names_nothing_any_more(
        self, database: Database, left: str | int, caplog: pytest.LogCaptureFixture
    ) -> None:
        await database.set_config("assistant_id", left)
        assert (await Assistants(database).start(client_of(), "m")).assistant_id == "data-analyst"
        assert await database.get_config("assistant_id") == "data-analyst"
        assert "is replaced" in caplog.text

    async def test_keeps_the_assistant_when_the_endpoint_is_down_or_does_not_list_the_model(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Down(ScriptedClient):
            async def models(self) -> list[str] | None:
                raise EndpointDownError("nobody answers")

        await database.save_assistant("mine", name="Mine", instructions="", model="big")
        await database.set_config("assistant_id", "mine")
        assert (await Assistants(database).start(Down([]), "m")).assistant_id == "mine"
        assert "could not be verified: nobody answers" in caplog.text
        assert (await Assistants(database).start(client_of("small"), "m")).assistant_id == "mine"
        assert "does not list the model big" in caplog.text
        assert await database.get_config("assistant_id") == "mine"

    async def test_of_several_processes_at_once_comes_to_the_same(self, database: Database) -> None:
        await database.set_config("assistant_id", "asst_old")
        found = await asyncio.gather(*(Assistants(database).start(client_of(), "m") for _ in range(5)))
        assert {assistant.assistant_id for assistant in found} == {"data-analyst"}
        assert len(await database.list_assistants()) == 3

    async def test_leaves_what_an_operator_changed_in_a_ready_made_record(self, database: Database) -> None:
        await database.save_assistant("data-analyst", name="Our analyst", instructions="Ours.", options={"temperature": 0})
        assert (await Assistants(database).start(client_of(), "m")).name == "Our analyst"


class TestChoosing:
    async def test_is_stored_for_each_user_and_can_be_taken_back(self, database: Database) -> None:
        assistants = Assistants(database)
        await assistants.start(client_of(), "m")
        assert (await assistants.choose("ada", "mathematician")).name == "Mathematician"
        assert (await Assistants(database).of_user("ada")).assistant_id == "mathematician"
        assert (await assistants.of_user("bob")).assistant_id == "data-analyst"
        assert (await assistants.choose("ada", None)).assistant_id == "data-analyst"
        assert (await assistants.of_user("ada")).assistant_id == "data-analyst"

    async def test_of_one_that_there_is_not_names_those_that_there_are(self, database: Database) -> None:
        assistants = Assistants(database)
        await assistants.start(client_of(), "m")
        with pytest.raises(UnknownAssistantError, match="data-analyst, mathematician, visualiser"):
            await assistants.choose("ada", "poet")

    async def test_of_one_that_was_deleted_falls_back(self, database: Database) -> None:
        assistants = Assistants(database)
        await assistants.start(client_of(), "m")
        await assistants.choose("ada", "visualiser")
        await database.delete_assistant("visualiser")
        assert (await assistants.of_user("ada")).assistant_id == "data-analyst"

    async def test_leaves_out_a_record_that_makes_no_sense(self, database: Database, caplog: pytest.LogCaptureFixture) -> None:
        await database.save_assistant("odd", name="Odd", instructions="", options={"temperature": "hot"})
        assert await Assistants(database).all() == []
        assert "'odd': options.temperature is 'hot'" in caplog.text


class TestFiles:
    def write(self, folder: Path, text: str) -> Path:
        (folder / "chemist.toml").write_text(text)
        return folder

    async def test_of_the_operator_become_assistants_and_follow_their_changes(self, database: Database, tmp_path: Path) -> None:
        text = 'name = "Chemist"\ninstructions = "Mix."\nmodel = "big"\n[options]\ncontext_tokens = 8000\nvision = true\n'
        assistants = Assistants(database, self.write(tmp_path, text))
        await assistants.start(client_of(), "m")
        chemist = await assistants.get("chemist")
        assert (chemist.model, chemist.options.context_tokens, chemist.options.vision) == ("big", 8000, True)
        self.write(tmp_path, text.replace("Mix.", "Shake."))
        await assistants.start(client_of(), "m")
        assert (await assistants.get("chemist")).instructions == "Shake."

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("name = ", "chemist.toml"),
            ('instructions = "x"', "name is None"),
            ('name = "x"\ninstructions = 5', "instructions must be a text"),
            ('name = "x"\ninstructions = ""\n[options]\ntemperature = 9', "number from 0 to 2"),
            ('name = "x"\ninstructions = ""\n[options]\nheat = 9', "'heat'"),
            ('name = "x"\ninstructions = ""\ntemperature = 1', "'temperature'"),
        ],
    )
    def test_that_are_wrong_are_named_with_what_is_wrong(self, tmp_path: Path, text: str, problem: str) -> None:
        with pytest.raises(UsageError, match="correct the file") as raised:
            of_folder(self.write(tmp_path, text))
        assert problem in str(raised.value)

    def test_in_a_folder_that_there_is_not(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="ASSISTANTS_DIR"):
            of_folder(tmp_path / "none")

    def test_that_come_with_the_package_are_three(self) -> None:
        assert sorted(ready_made()) == ["data-analyst", "mathematician", "visualiser"]


class TestUsage:
    USED = TurnUsage(TokenUsage(70, 30, 20), requests=2, runs=3, seconds=1.5)

    async def test_adds_up_by_day_assistant_and_kind_and_can_be_reset(self, database: Database) -> None:
        book = UsageBook(database, clock=clock)
        await asyncio.gather(*(book.add("ada", self.USED, assistant_id="a") for _ in range(4)))
        await book.add("ada", self.USED, assistant_id="b", kind="title")
        found = {(each["day"], each["assistant_id"], each["kind"]): each["input_tokens"] for each in await book.get("ada")}
        assert found == {("2026-11-20", "a", "chat"): 280, ("2026-11-20", "b", "title"): 70}
        assert await book.reset_user_token_stats("ada")
        assert await book.get("ada") == []

    async def test_is_refused_when_the_day_is_used_up_and_says_until_when(self, database: Database) -> None:
        tokens, runs = UsageBook(database, DailyLimits(tokens=200), clock), UsageBook(database, DailyLimits(runs=6), clock)
        await tokens.add("ada", self.USED, assistant_id="a")
        assert await tokens.refusal("ada") is None
        await tokens.add("ada", self.USED, assistant_id="a")
        assert "200 of 200 tokens" in str(await tokens.refusal("ada"))
        assert "6 of 6 runs" in str(await runs.refusal("ada"))
        assert "at 00:00 UTC, in 12 h 0 min" in str(await tokens.refusal("ada"))
        assert await tokens.refusal("bob") is None

    async def test_of_a_turn_of_several_people_is_everybodys_in_equal_parts(self, database: Database) -> None:
        book = UsageBook(database, clock=clock)
        await book.charge(Account(("ada", "bob"), "chat@1"), self.USED, assistant_id="a")
        (ada,), (bob,) = await book.get("ada"), await book.get("bob")
        assert (ada["input_tokens"], ada["output_tokens"], ada["requests"], ada["runs"]) == (35, 15, 1, 2)
        assert (bob["input_tokens"], bob["runs"], bob["seconds"], bob["kind"]) == (35, 1, 0.75, "chat@1")

    async def test_of_code_without_a_model_counts_to_no_limit(self, database: Database) -> None:
        book = UsageBook(database, DailyLimits(runs=1), clock)
        await book.charge(Account(("ada",), "run"), self.USED, assistant_id="")
        assert await book.refusal("ada") is None

    async def test_of_yesterday_does_not_count(self, database: Database) -> None:
        await UsageBook(database, clock=clock).add("ada", self.USED, assistant_id="a")
        tomorrow = UsageBook(database, DailyLimits(tokens=1), lambda: datetime(2026, 11, 21, tzinfo=UTC))
        assert await tomorrow.refusal("ada") is None
