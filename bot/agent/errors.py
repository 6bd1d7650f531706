"""What can go wrong between the agent and a model, and who has to act.

::

    ThreadbookError
    ├── UsageError
    │   ├── UnknownAssistantError       there is no assistant of that id
    │   └── SettingsError
    │       └── EndpointSettingsError   no endpoint is configured, or not enough of it
    └── ServiceError
        └── ModelError                  the model could not answer
            ├── BadKeyError             operator: the key is wrong, or may not do this
            ├── QuotaError              operator: the account has no credit
            ├── UnknownModelError       operator: the endpoint has no such model
            ├── NoToolSupportError      operator: the model cannot call tools
            ├── BadRequestError         operator: the endpoint refuses the request for another reason
            │   └── NoVisionError       operator: the model does not take pictures
            ├── ContextTooLongError     person: the conversation is longer than the model can read
            ├── EndlessAnswerError      operator: the answer does not end
            ├── RefusedError            person: the content was refused
            ├── RateLimitedError        nobody: too many requests; later it works
            ├── EndpointDownError       operator: nobody answers, or with 5xx
            │   └── SilentEndpointError operator: it takes requests, and sends nothing
            └── BrokenStreamError       nobody: the answer broke off or cannot be read
"""

from __future__ import annotations

from typing import ClassVar, Literal

from kernel_manager.errors import ServiceError, SettingsError, UsageError

Who = Literal["operator", "person", "nobody"]


class EndpointSettingsError(SettingsError):
    """No endpoint is configured, or not enough of it; the message names each setting that is missing."""


class UnknownAssistantError(UsageError):
    """There is no assistant of that id."""


class ModelError(ServiceError):
    """The model could not answer. ``who`` has to act; asking again later may help if ``passing``.

    ``retry_after`` is how many seconds the endpoint wants to be left alone.
    """

    who: ClassVar[Who] = "operator"
    passing: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadKeyError(ModelError):
    """The key is wrong, or may not do this."""


class QuotaError(ModelError):
    """The account behind the key has no credit."""


class UnknownModelError(ModelError):
    """The endpoint has no such model, or not for this key."""


class NoToolSupportError(ModelError):
    """The model, or the way its server was started, does not know tools."""


class BadRequestError(ModelError):
    """The endpoint refuses the request."""


class NoVisionError(BadRequestError):
    """The model does not take pictures."""


class ContextTooLongError(ModelError):
    """The request is longer than the model can read: ``limit`` tokens, if the endpoint said so."""

    who = "person"

    def __init__(self, message: str, *, limit: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class EndlessAnswerError(ModelError):
    """The model, or whatever is at the endpoint, does not come to an end."""


class RefusedError(ModelError):
    """The endpoint or the model refused the content."""

    who = "person"


class RateLimitedError(ModelError):
    """Too many requests or tokens in a short time."""

    who = "nobody"
    passing = True


class EndpointDownError(ModelError):
    """Nobody answers at the endpoint, or it reports a failure of its own."""

    passing = True


class SilentEndpointError(EndpointDownError):
    """The endpoint sent nothing for as long as it may. Whoever waited that long does not wait as long again, unasked."""

    passing = False


class BrokenStreamError(ModelError):
    """The answer broke off, or is not what the API says."""

    who = "nobody"
    passing = True
