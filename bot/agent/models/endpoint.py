"""Where a model is."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is. ``timeout`` is how many seconds it may send nothing.

    ``base_url`` may hold a name and a password, so messages and logs get :attr:`shown_url`.
    """

    base_url: str = field(repr=False)
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 300.0

    @property
    def shown_url(self) -> str:
        """The address without what may be secret in it."""
        parts = urlsplit(self.base_url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def without_secrets(self, text: str) -> str:
        """Return what an endpoint said without the key and the password that it may quote."""
        secrets = (self.api_key, urlsplit(self.base_url).password)
        for secret in (secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET):
            text = text.replace(secret, "…")
        return text


#: Keys such as "none" or "x", which servers without keys are given, are words of every message.
_SHORTEST_SECRET = 6
