from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import discord
import pytest
from yarl import URL

from bot.client import make_intents
from bot.permissions import NEEDED, invitation
from bot.starting import check_sandbox, run_bot, token_of
from kernel_manager import Settings, SettingsError
from kernel_manager.errors import ServiceError
from kernel_manager.packages.environments import Environment
from kernel_manager.provisioning.sandbox import ISOLATION, Protection, SandboxReport
from tests.integration.conftest import make_settings

ROOT = Path(__file__).parents[2]


def report(*held: str, sandbox: str = "auto") -> SandboxReport:
    return SandboxReport(sandbox, tuple(Protection(name, name in held, "", "do this") for name in sorted(ISOLATION)))


def test_the_bot_starts_where_kernels_are_apart() -> None:
    check_sandbox(report(*ISOLATION), Settings())


@pytest.mark.parametrize("missing", sorted(ISOLATION))
def test_the_bot_refuses_to_start_without_any_of_the_namespaces(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"no {missing}.*ALLOW_UNSANDBOXED=1"):
        check_sandbox(report(*(ISOLATION - {missing})), Settings())


def test_a_sandbox_that_is_off_counts_as_none() -> None:
    with pytest.raises(SettingsError, match="SANDBOX=none"):
        check_sandbox(report(*ISOLATION, sandbox="none"), Settings())


def test_an_operator_can_accept_it_and_is_warned(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    check_sandbox(report(), Settings(allow_unsandboxed=True))
    assert "can reach this machine" in caplog.text


def test_a_token_is_needed_and_never_shown() -> None:
    with pytest.raises(SettingsError, match="DISCORD_TOKEN is not set"):
        token_of(Settings())
    settings = Settings(discord_token="abc.def")
    assert token_of(settings) == "abc.def"
    assert "abc.def" not in repr(settings)


def test_only_what_is_needed_is_asked_of_discord() -> None:
    assert {name for name, on in make_intents() if on} == {"guilds", "guild_messages", "dm_messages", "message_content"}
    assert not make_intents(message_content=False).message_content


def test_what_the_bot_needs_is_in_the_link_that_invites_it() -> None:
    query = URL(invitation(7)).query
    assert (query["client_id"], query["scope"]) == ("7", "bot applications.commands")
    assert int(query["permissions"]) == NEEDED.value
    assert f"permissions={NEEDED.value}`" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [("-m", "bot"), ("-m", "threadbook", "bot")])
def test_without_a_token_the_command_says_so_in_one_line(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("threadbook: DISCORD_TOKEN is not set")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
async def test_a_discord_that_cannot_be_reached_is_said_to_be(
    shared_folder: Path, kernel_environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.http.Route, "BASE", "http://127.0.0.1:1")
    settings = make_settings(shared_folder, kernel_environment, discord_token="abc.def", allow_unsandboxed=True)
    with pytest.raises(ServiceError, match="Discord cannot be reached"):
        await run_bot(settings)
