"""Which endpoint, which model and which way of speaking to it the settings mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from bot.agent.errors import EndpointSettingsError
from bot.agent.models.endpoint import Endpoint
from bot.agent.models.retrying import RetryingClient
from kernel_manager.config import Settings

if TYPE_CHECKING:
    from bot.agent.models.protocol import ModelClient

OPENAI = "https://api.openai.com/v1"
DEFAULT_MODEL = "gpt-5.4-mini"
RETIRED = {"models.github.ai", "models.inference.ai.azure.com"}
_WITHOUT = "`threadbook console` works without a model"

Api = Literal["responses", "chat_completions"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen. ``at_openai`` says whether the endpoint is OpenAI's own."""

    endpoint: Endpoint
    model: str
    api: Api
    at_openai: bool

    def open(self, retries: int) -> ModelClient:
        """Return a client, which its opener closes; it connects when it is first asked."""
        return RetryingClient(self._adapter(), retries)

    def _adapter(self) -> ModelClient:
        if self.api == "responses":
            from bot.agent.models.responses import ResponsesClient

            return ResponsesClient(self.endpoint)
        from bot.agent.models.chat_completions import ChatCompletionsClient

        limit_name = "max_completion_tokens" if self.at_openai else "max_tokens"
        return ChatCompletionsClient(self.endpoint, output_limit_name=limit_name)


def select(settings: Settings) -> Selection:
    """Return what the settings mean, or raise EndpointSettingsError, which names what is missing."""
    key = settings.openai_api_key.get_secret_value().strip() if settings.openai_api_key else ""
    url = (settings.openai_base_url or OPENAI).rstrip("/")
    host = urlsplit(url).hostname or ""
    if host in RETIRED:
        raise EndpointSettingsError(
            "GitHub Models was retired on 2026-07-30; set OPENAI_BASE_URL, OPENAI_MODEL and OPENAI_API_KEY for another endpoint"
        )
    at_openai = host == "api.openai.com" or host.endswith(".api.openai.com")
    if at_openai and not key:
        raise EndpointSettingsError(
            "no model is set up: set OPENAI_API_KEY for OpenAI, or OPENAI_BASE_URL and OPENAI_MODEL for any other endpoint "
            f"(environment or .env); {_WITHOUT}"
        )
    endpoint = Endpoint(url, key or None, settings.openai_timeout)
    if not at_openai and not settings.openai_model:
        raise EndpointSettingsError(
            f"OPENAI_MODEL is missing: name a model of {endpoint.shown_url} that can call tools; {_WITHOUT}"
        )
    api: Api = settings.openai_api if settings.openai_api != "auto" else "responses" if at_openai else "chat_completions"
    return Selection(endpoint, settings.openai_model or DEFAULT_MODEL, api, at_openai)


def sees(settings: Settings, selection: Selection) -> bool:
    """Return whether the model gets pictures, as far as the settings say."""
    return selection.at_openai if settings.openai_vision == "auto" else settings.openai_vision == "on"
