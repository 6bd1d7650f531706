"""What ``/admin`` shows, as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.guild_rules import GuildRules
from bot.markdown import head
from bot.places import Place
from bot.posts import MESSAGE_LIMIT
from kernel_manager import Settings
from kernel_manager.database.protocol import UsageRecord
from kernel_manager.sessions.session import SessionInfo


def place_line(place: Place, info: SessionInfo) -> str:
    """Return where a session is, whose, and how it is."""
    where = "direct messages" if place.guild_id is None else f"<#{place.channel_id}>"
    shared = " · shared" if place.shared else ""
    used = f" · last used {info.last_used[:16].replace('T', ' ')}" if info.last_used else ""
    return f"{where} · <@{place.owner_id}> · kernel {info.state} · {info.cells} cells{used}{shared}"


def usage_table(records: Sequence[UsageRecord], days: int) -> str:
    """Return what everybody used, who used most first."""
    totals: dict[str, list[float]] = {}
    for record in records:
        total = totals.setdefault(record["user_id"], [0, 0, 0, 0])
        for place, name in enumerate(("input_tokens", "output_tokens", "runs", "seconds")):
            total[place] += record[name]  # type: ignore[literal-required]
    lines = [
        f"{_user(user)} · {int(tokens_in):,} tokens in, {int(tokens_out):,} out · {int(runs)} runs · {seconds:.1f} s"
        for user, (tokens_in, tokens_out, runs, seconds) in sorted(totals.items(), key=lambda item: item[1], reverse=True)
    ]
    return head("\n".join([f"The last {days} days, {len(totals)} users", *lines]), MESSAGE_LIMIT)


def environment_lines(state: dict[str, Any], *, everything: bool) -> list[str]:
    """Return how kernels' environment is; ``everything`` is for those who run the service."""
    environment = state["environment"]
    fresh = "up to date" if environment["fresh"] else "outdated; it renews itself in the background"
    lines = [f"Environment {environment['generation']}: {fresh}, {state['package_count']} packages, sandbox {state['sandbox']}"]
    if everything:
        lines += [
            f"Built {environment['built_at']}, {environment['size_mb']:g} MB" if environment["python"] else "None is built yet",
            f"{state['sessions']} sessions, {state['kernels']} live kernels, {state['disk_free_mb'] / 1024:.1f} GB free",
            f"{state['total_user_files']} files, {state['total_file_size_mb']} MB",
        ]
        lines += [f"The last build failed: {environment['failure']}"] if environment.get("failure") else []
    return lines


def limit_lines(rules: Sequence[GuildRules], settings: Settings) -> list[str]:
    """Return the limits that hold; the lowest of those that the settings, the operators and the server name."""
    days = settings.session_retention_days
    return [
        f"Messages of one user in a minute: {_lowest(settings.rate_limit_per_user, [one.per_user for one in rules])}",
        f"Messages of one server in a minute: {_lowest(settings.rate_limit_per_guild, [one.per_guild for one in rules])}",
        f"Days that an unused session is kept: {_lowest(0 if days == -1 else days, [one.session_days for one in rules])}",
        f"Days that the session of a deleted thread is kept: {settings.ended_session_days:g}",
    ]


def access_lines(rules: GuildRules, settings: Settings) -> list[str]:
    """Return where the bot may be used on a server, and by whom."""
    channels = " ".join(f"<#{channel}>" for channel in rules.channels) or "all channels"
    roles = " ".join(f"<@&{role}>" for role in rules.roles) or "everybody"
    lines = [f"I may be used in: {channels}", f"By: {roles}"]
    if settings.discord_channels or settings.discord_roles:
        lines.append("Whoever runs me has limited this further (DISCORD_CHANNELS, DISCORD_ROLES).")
    return lines


def _lowest(own: float, others: Sequence[float | None]) -> str:
    limits = [limit for limit in (own, *others) if limit]
    return f"{min(limits):g}" if limits else "no limit"


def _user(user_id: str) -> str:
    return f"<@{user_id}>" if user_id.isdigit() else user_id
