from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.agent.errors import EndpointSettingsError
from bot.agent.models.chat_completions import ChatCompletionsClient
from bot.agent.models.failures import retry_after
from bot.agent.models.responses import ResponsesClient
from bot.agent.models.selection import DEFAULT_MODEL, sees, select
from kernel_manager import Settings, SettingsError


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


class TestWhatTheSettingsMean:
    def test_a_key_alone_is_openai_with_responses(self, setting: pytest.MonkeyPatch) -> None:
        setting.setenv("OPENAI_API_KEY", "sk-1")
        selection = select(Settings.load())
        assert (selection.endpoint.base_url, selection.model, selection.api) == (
            "https://api.openai.com/v1",
            DEFAULT_MODEL,
            "responses",
        )
        assert sees(Settings.load(), selection)
        assert "sk-1" not in repr(selection)

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:11434/v1", "https://openrouter.ai/api/v1/", "https://api.openai.com.evil.example/v1"]
    )
    def test_any_other_url_is_chat_completions_and_needs_no_key(self, setting: pytest.MonkeyPatch, url: str) -> None:
        setting.setenv("OPENAI_BASE_URL", url)
        setting.setenv("OPENAI_MODEL", "qwen")
        selection = select(Settings.load())
        assert (selection.api, selection.model, selection.endpoint.api_key) == ("chat_completions", "qwen", None)
        assert not sees(Settings.load(), selection)

    def test_the_way_of_speaking_and_seeing_can_be_overridden(self, setting: pytest.MonkeyPatch) -> None:
        for name, value in (("BASE_URL", "http://x/v1"), ("MODEL", "m"), ("API", "responses"), ("VISION", "on")):
            setting.setenv(f"OPENAI_{name}", value)
        selection = select(Settings.load())
        assert selection.api == "responses"
        assert sees(Settings.load(), selection)

    @pytest.mark.parametrize(("api", "kind"), [("responses", ResponsesClient), ("chat_completions", ChatCompletionsClient)])
    async def test_a_client_is_of_the_kind_that_was_chosen(self, setting: pytest.MonkeyPatch, api: str, kind: type) -> None:
        setting.setenv("OPENAI_API_KEY", "sk-1")
        setting.setenv("OPENAI_API", api)
        client = select(Settings.load()).open(2)
        assert isinstance(vars(client)["_client"], kind)
        await client.aclose()


class TestWhatIsMissing:
    def test_without_anything_both_ways_are_named(self) -> None:
        with pytest.raises(
            EndpointSettingsError, match=r"OPENAI_API_KEY .*OPENAI_BASE_URL and OPENAI_MODEL.*`threadbook console`"
        ):
            select(Settings.load())

    def test_a_url_without_a_model_asks_for_one(self, setting: pytest.MonkeyPatch) -> None:
        setting.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
        with pytest.raises(EndpointSettingsError, match="OPENAI_MODEL is missing"):
            select(Settings.load())

    @pytest.mark.parametrize("url", ["https://models.github.ai/inference", "https://models.inference.ai.azure.com"])
    def test_github_models_is_said_to_be_retired(self, setting: pytest.MonkeyPatch, url: str) -> None:
        setting.setenv("OPENAI_BASE_URL", url)
        setting.setenv("OPENAI_MODEL", "m")
        with pytest.raises(EndpointSettingsError, match="retired on 2026-07-30") as raised:
            select(Settings.load())
        assert "\n" not in str(raised.value)

    def test_a_url_that_is_none_is_refused_by_the_settings(self, setting: pytest.MonkeyPatch) -> None:
        setting.setenv("OPENAI_BASE_URL", "localhost:11434")
        with pytest.raises(SettingsError, match="OPENAI_BASE_URL='localhost:11434'"):
            Settings.load()


@pytest.mark.parametrize(
    ("milliseconds", "seconds", "expected"),
    [
        ("1500", "9", 1.5),
        (None, "7", 7.0),
        (None, "Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        (None, "Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        (None, "soon", None),
        ("x", "-1", None),
        (None, "nan", None),
        (None, None, None),
    ],
)
def test_a_wish_to_wait_may_be_seconds_or_a_date(milliseconds: str | None, seconds: str | None, expected: float | None) -> None:
    assert retry_after(milliseconds, seconds, datetime(2026, 11, 20, 12, tzinfo=UTC)) == expected
