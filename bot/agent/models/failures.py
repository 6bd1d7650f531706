"""What an endpoint's failures mean, and who has to do what about them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
import openai

from bot.agent.errors import (
    BadKeyError,
    BadRequestError,
    BrokenStreamError,
    ContextTooLongError,
    EndpointDownError,
    ModelError,
    NoToolSupportError,
    NoVisionError,
    QuotaError,
    RateLimitedError,
    RefusedError,
    SilentEndpointError,
    UnknownModelError,
)
from bot.agent.marking import one_line
from bot.agent.models.endpoint import Endpoint

_TOO_LONG = re.compile(
    r"context_length|context (?:length|window|size)|maximum context|too many tokens|prompt is too long|input is too long"
    r"|exceeds? the (?:available|maximum)|input length|string_above_max_length|request too large",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"content_filter|content.policy|content management policy|safety|invalid_prompt|moderation", re.IGNORECASE)
_LIMIT = re.compile(r"(?:context (?:length|window|size)|n_ctx)\D{0,40}?(\d[\d,]{2,})|> (\d[\d,]{2,}) max", re.IGNORECASE)
#: The newest OpenAI models think and call tools in Responses only.
_RESPONSES_ONLY = re.compile(r"reasoning_effort\b.{0,200}/responses", re.IGNORECASE)
_NO_TOOLS = re.compile(
    r"not support (?:tool|function)|(?:tools?|function calling|tool use|tool_choice)\b.{0,60}not (?:be )?supported"
    r"|enable-auto-tool-choice|tool-call-parser|no endpoints found that support tool|--jinja",
    re.IGNORECASE,
)
_NO_IMAGES = re.compile(r"\bimages?\b|image_url|\bvision\b|multimodal|mmproj", re.IGNORECASE)
_QUOTA = re.compile(r"insufficient_quota|exceeded your current quota|billing|credit", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"model_not_found|model .{0,200}(?:not found|does not exist|not exist)|no such model|try pulling", re.IGNORECASE
)
_PASSING_CODES = ("rate_limit", "overloaded")
_MAX_SAID = 300


def explain(exc: BaseException, endpoint: Endpoint, model: str, *, begun: bool) -> ModelError:
    """Return the error that an exception of the SDK stands for. ``begun``: a part of the answer had come."""
    url = endpoint.shown_url
    match exc:
        case openai.APIStatusError():
            return _status_error(exc, endpoint, model)
        case openai.APITimeoutError() if not isinstance(exc.__cause__, httpx2.ConnectTimeout):
            return SilentEndpointError(
                f"{url} sent nothing for {endpoint.timeout:g} s; the operator has to look at the server or raise OPENAI_TIMEOUT"
            )
        case openai.APIConnectionError() if not begun:
            return EndpointDownError(
                f"nobody answers at {url} ({_cause(exc)}); the operator has to start the server or correct OPENAI_BASE_URL"
            )
        case openai.APIConnectionError():
            return BrokenStreamError(f"the connection to {url} broke off in the middle of an answer; ask again")
        case openai.APIError():
            said = endpoint.without_secrets(exc.message)
            return stream_failure(exc.code or exc.type, said, url, model)
    kind = type(exc).__name__
    return BrokenStreamError(f"{url} sent something that is no answer of this API ({kind}); ask again, or have the operator look")


def stream_failure(code: str | None, message: str, url: str, model: str) -> ModelError:
    """Return the error for a failure that an endpoint reports within its stream."""
    return _by_words(f"{code or ''} {message}", url, model) or EndpointDownError(
        f"{url} failed in the middle of an answer ({_said(message)}); ask again, or have the operator look at the server"
    )


def refused_parameter(exc: openai.APIStatusError, optional: Sequence[str]) -> str | None:
    """Return which of the optional parameters the endpoint does not want, if it says so."""
    if exc.status_code not in (400, 422):
        return None
    said = _words(exc).lower()
    if "include" in optional and "encrypted" in said:
        return "include"
    if exc.param:
        named = exc.param.split(".")[0].split("[")[0]
        return named if named in optional else None
    return next((name for name in optional if name in said), None)


def _status_error(exc: openai.APIStatusError, endpoint: Endpoint, model: str) -> ModelError:
    url, words = endpoint.shown_url, endpoint.without_secrets(_words(exc))
    wait = retry_after(exc.response.headers.get("retry-after-ms"), exc.response.headers.get("retry-after"))
    match exc.status_code:
        case 401:
            # what it says is left out: it quotes the key
            return BadKeyError(f"{url} refuses the key (401); the operator has to correct OPENAI_API_KEY")
        case 402:
            return _quota(url, words)
        case 429 if _QUOTA.search(words):
            return _quota(url, words)
        case 429:
            return RateLimitedError(
                f"{url} gets too many requests ({_said(words)}); wait {_how_long(wait)} and ask again", retry_after=wait
            )
        case 408 | 409 | 425:
            return EndpointDownError(f"{url} is not ready ({exc.status_code}); wait a little and ask again", retry_after=wait)
        case status if status >= 500:
            found = _by_words(words, url, model) if status == 500 else None
            return found or EndpointDownError(
                f"{url} fails ({status}: {_said(words)}); wait, or have the operator look at the server", retry_after=wait
            )
    return _by_words(words, url, model) or _other(exc.status_code, words, url)


def _other(status: int, words: str, url: str) -> ModelError:
    match status:
        case 403:
            return BadKeyError(
                f"{url} does not allow this (403: {_said(words)}); the operator has to check what OPENAI_API_KEY may do"
            )
        case 404:
            return BadRequestError(
                f"{url} has no such API (404); the operator has to correct OPENAI_BASE_URL (it often ends in /v1)"
            )
    return BadRequestError(f"{url} refuses the request ({status}: {_said(words)}); the operator has to look at the settings")


def _by_words(words: str, url: str, model: str) -> ModelError | None:
    """Endpoints agree on few codes, so what they say counts as well."""
    if _TOO_LONG.search(words):
        return ContextTooLongError(
            "the conversation is longer than the model can read; ask for less at once, or start a new session",
            limit=_limit(words),
        )
    if _RESPONSES_ONLY.search(words):
        return BadRequestError(
            f"{model} at {url} calls tools in the Responses API only ({_said(words)}); "
            "the operator has to set OPENAI_API=responses"
        )
    if _NO_TOOLS.search(words):
        return NoToolSupportError(
            f"{model} at {url} cannot call tools ({_said(words)}); the operator has to choose one that can "
            "with OPENAI_MODEL, or to start its server with tools (vLLM: --enable-auto-tool-choice --tool-call-parser …)"
        )
    if _QUOTA.search(words):
        return _quota(url, words)
    if _NO_MODEL.search(words):
        return UnknownModelError(
            f"{url} has no model {model!r}; the operator has to correct OPENAI_MODEL or the assistant's model "
            f"(with Ollama: ollama pull {model})"
        )
    if any(code in words for code in _PASSING_CODES):
        return RateLimitedError(f"{url} is overloaded ({_said(words)}); wait a little and ask again")
    if _REFUSED.search(words):
        return RefusedError(f"the model's provider refuses this content ({_said(words)}); say it differently")
    if _NO_IMAGES.search(words):
        return NoVisionError(f"{model} at {url} does not take images ({_said(words)}); the operator has to set OPENAI_VISION=off")
    return None


def _quota(url: str, words: str) -> QuotaError:
    return QuotaError(
        f"the account at {url} has no credit left ({_said(words)}); the operator has to add some or raise its limit"
    )


def _limit(words: str) -> int | None:
    """How many tokens the model reads, if the endpoint names that."""
    found = _LIMIT.search(words)
    return int((found[1] or found[2]).replace(",", "")) if found else None


def _how_long(seconds: float | None) -> str:
    if seconds is None or seconds < 1:
        return "a little"
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


def _cause(exc: BaseException) -> str:
    """The innermost reason: a name that is not known, a certificate that is not trusted."""
    while (cause := exc.__cause__ or exc.__context__) is not None:
        exc = cause
    return one_line(str(exc), _MAX_SAID) or type(exc).__name__


def _words(exc: openai.APIError) -> str:
    return f"{exc.code or ''} {exc.type or ''} {exc.message or ''}"


def _said(words: str) -> str:
    return one_line(words, _MAX_SAID) or "no reason given"


def retry_after(milliseconds: str | None, seconds: str | None, now: datetime | None = None) -> float | None:
    """Return how many seconds the headers ``retry-after-ms`` and ``retry-after`` (seconds or a date) ask for."""
    for text, unit in ((milliseconds, 1_000), (seconds, 1)):
        try:
            if text is not None and 0 <= (wait := float(text) / unit) < 1e6:
                return wait
        except ValueError:
            continue
    try:
        date = parsedate_to_datetime(seconds or "")
    except ValueError:
        return None
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds()) if date.tzinfo else None
