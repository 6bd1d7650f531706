"""What users use, and how much they may in a day (UTC)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.agent.events import TurnUsage
from bot.agent.models.protocol import TokenUsage
from kernel_manager.database.protocol import Database, UsageRecord

KIND = "chat"


@dataclass(frozen=True, slots=True)
class DailyLimits:
    """What a user may use in a day; None is no limit. ``tokens`` are those in and out together."""

    tokens: int | None = None
    runs: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return self.tokens is not None or self.runs is not None


@dataclass(frozen=True, slots=True)
class Account:
    """Who is charged for a turn, each with an equal part, and under which kind it is written down."""

    users: tuple[str, ...]
    kind: str = KIND


class UsageBook:
    """Writes down what turns took, and says when a user has used up the day. Methods raise DatabaseError."""

    def __init__(
        self, database: Database, limits: DailyLimits = DailyLimits(), clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock

    async def refusal(self, user_id: str) -> str | None:
        """Return why the user may not begin a turn now, and when that ends; None if they may."""
        if not self._limits.any:
            return None
        now = self._clock()
        return refusal(await self._database.get_user_token_stats(user_id, now.date()), self._limits, now)

    async def charge(self, account: Account, usage: TurnUsage, *, assistant_id: str = "") -> None:
        """Add what a turn took to everybody's part of the account; without a model there is no assistant."""
        for user_id, share in zip(account.users, shares(usage, len(account.users)), strict=True):
            await self.add(user_id, share, assistant_id=assistant_id, kind=account.kind)

    async def add(self, user_id: str, usage: TurnUsage, *, assistant_id: str, kind: str = KIND) -> None:
        """Add what a turn took."""
        await self._database.add_usage(
            user_id,
            {
                "input_tokens": usage.tokens.input,
                "cached_tokens": usage.tokens.cached,
                "output_tokens": usage.tokens.output,
                "requests": usage.requests,
                "runs": usage.runs,
                "seconds": usage.seconds,
            },
            assistant_id=assistant_id,
            kind=kind,
        )

    async def get(self, user_id: str) -> list[UsageRecord]:
        """Return what the user used, by day, assistant and kind."""
        return await self._database.get_user_token_stats(user_id)

    async def reset_user_token_stats(self, user_id: str) -> bool:
        """Forget what the user used, today's included; return whether there was anything."""
        return await self._database.reset_user_token_stats(user_id)


def shares(usage: TurnUsage, count: int) -> list[TurnUsage]:
    """Return a turn's usage in so many parts, as equal as whole numbers can be, which add up to all of it."""

    def part(amount: int, number: int) -> int:
        return amount // count + (number < amount % count)

    return [
        TurnUsage(
            TokenUsage(*(part(amount, number) for amount in (usage.tokens.input, usage.tokens.output, usage.tokens.cached))),
            part(usage.requests, number),
            part(usage.runs, number),
            usage.seconds / count,
        )
        for number in range(count)
    ]


def refusal(records: Sequence[UsageRecord], limits: DailyLimits, now: datetime) -> str | None:
    """Return what to tell a user whose day is used up, or None."""
    # what ran without a model was nobody's answer: it has no assistant
    today = [record for record in records if record["day"] == f"{now:%Y-%m-%d}" and record["assistant_id"]]
    tokens = sum(record["input_tokens"] + record["output_tokens"] for record in today)
    runs = sum(record["runs"] for record in today)
    if limits.tokens is not None and tokens >= limits.tokens:
        used = f"{tokens:,} of {limits.tokens:,} tokens"
    elif limits.runs is not None and runs >= limits.runs:
        used = f"{runs:,} of {limits.runs:,} runs"
    else:
        return None
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    minutes = max(1, -(-int((midnight - now).total_seconds()) // 60))
    wait = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    return f"Sorry, your limit for today is used up ({used}). It starts anew at 00:00 UTC, in {wait}."
