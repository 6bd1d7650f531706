"""Who may use the bot, where and how often: decided without Discord."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.gate import Asker, Gate, RefusedError, refusal
from bot.guild_rules import EVERYWHERE, GuildRules
from bot.rates import Rates
from kernel_manager import Settings
from kernel_manager.database.protocol import Database
from kernel_manager.database.sqlite import SqliteDatabase
from kernel_manager.errors import LimitError, UsageError


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = SqliteDatabase(tmp_path / "test.sqlite3")
    yield made
    await made.close()


class TestRates:
    def test_let_so_many_through_in_any_minute(self, seconds: Seconds) -> None:
        rates = Rates(seconds)
        for seconds.now in (0.0, 10.0, 20.0):
            rates.take([("ada", 3)])
        seconds.now = 30.0
        with pytest.raises(LimitError, match="try again in 31 s"):
            rates.take([("ada", 3)])
        rates.take([("bob", 3)])
        seconds.now = 61.0
        rates.take([("ada", 3)])
        with pytest.raises(LimitError, match="in 10 s"):
            rates.take([("ada", 3)])

    def test_what_is_refused_counts_for_nobody(self, seconds: Seconds) -> None:
        rates = Rates(seconds)
        rates.take([("ada", 9), ("server", 1)])
        for _ in range(20):
            with pytest.raises(LimitError):
                rates.take([("ada", 9), ("server", 1)])
        rates.take([("ada", 2)])

    def test_a_limit_of_0_is_none(self, seconds: Seconds) -> None:
        rates = Rates(seconds)
        for _ in range(1_000):
            rates.take([("ada", 0)])

    def test_who_has_been_quiet_is_let_go(self, seconds: Seconds) -> None:
        rates = Rates(seconds)
        for number in range(10_001):
            rates.take([(number, 1)])
        seconds.now = 120.0
        rates.take([("ada", 1)])
        assert len(rates._asked) < 10


class TestRefusal:
    @pytest.mark.parametrize(
        ("asker", "rules", "settings", "refused"),
        [
            (Asker(1, 2, frozenset({3})), GuildRules(), Settings(), None),
            (Asker(1, 2, frozenset({3, 4})), GuildRules(channels=(4,)), Settings(), None),
            (Asker(1, 2, frozenset({3})), GuildRules(channels=(4,)), Settings(), "channel"),
            (Asker(1, 2, frozenset({3})), GuildRules(channels=(3,)), Settings(discord_channels=(4,)), "channel"),
            (Asker(1, 2, roles=frozenset({5})), GuildRules(roles=(5, 6)), Settings(), None),
            (Asker(1, 2), GuildRules(roles=(5,)), Settings(), "role"),
            (Asker(1, 2, roles=frozenset({5})), GuildRules(roles=(5,)), Settings(discord_roles=(6,)), "role"),
            (Asker(1), GuildRules(channels=(4,), roles=(5,)), Settings(discord_channels=(4,)), None),
            (Asker(1), GuildRules(), Settings(discord_direct_messages=False), "direct messages"),
        ],
    )
    def test_names_what_is_missing(self, asker: Asker, rules: GuildRules, settings: Settings, refused: str | None) -> None:
        found = refusal(asker, rules, settings)
        assert found is None if refused is None else refused in str(found)


class TestGate:
    async def test_refuses_whom_an_operator_blocked_until_it_is_taken_back(self, database: Database) -> None:
        gate = Gate(Settings(), database, Seconds())
        await gate.rules.block(1, "spam")
        assert await gate.rules.blocked() == {1: "spam"}
        with pytest.raises(RefusedError, match="may not use me"):
            await gate.check(Asker(1))
        await gate.check(Asker(2))
        assert await gate.rules.unblock(1)
        assert not await gate.rules.unblock(1)
        await gate.check(Asker(1))

    async def test_a_server_may_lower_the_limits_and_never_raise_them(self, database: Database) -> None:
        gate = Gate(Settings(rate_limit_per_user=5, rate_limit_per_guild=0), database, Seconds())
        await gate.rules.change(7, per_user=9, per_guild=4)
        await gate.check(Asker(1, 7))
        assert (gate.user_limit(7), gate.guild_limit(7), gate.user_limit(None)) == (5, 4, 5)
        await gate.rules.change(EVERYWHERE, per_user=2)
        await gate.check(Asker(1, 7))
        assert (gate.user_limit(7), gate.user_limit(None)) == (2, 2)
        gate.count(1, 7)
        gate.count(1, 7)
        with pytest.raises(LimitError):
            gate.count(1, 7)
        gate.count(2, 7)
        gate.count(3, 7)
        with pytest.raises(LimitError):
            gate.count(4, 7)

    async def test_rules_are_found_by_another_process_and_bounded(self, database: Database) -> None:
        await Gate(Settings(), database, Seconds()).rules.change(7, channels=(1, 2), session_days=30)
        other = Gate(Settings(), database, Seconds())
        assert await other.rules.of(7) == GuildRules(channels=(1, 2), session_days=30)
        with pytest.raises(UsageError, match="category"):
            await other.rules.change(7, channels=tuple(range(1, 300)))
