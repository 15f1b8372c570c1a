"""Our public addresses."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from crypto import Secret


@dataclass(frozen=True, slots=True)
class Addresses:
    """`public_url` and `fallback_url` (the base of the static fallback's address) do not end with a slash.

    `configured`: the operator has set `public_url`.
    """

    public_url: str
    fallback_url: str
    configured: bool = True

    @property
    def voice(self) -> str:
        """Where the carrier sends calls."""
        return f"{self.public_url}/webhooks/twilio/voice"

    @property
    def status(self) -> str:
        """Where the carrier reports how calls ended."""
        return f"{self.public_url}/webhooks/twilio/status"

    @property
    def console(self) -> str:
        return f"{self.public_url}/console"

    def confirm(self, token: str) -> str:
        """Where the owner of an email address confirms it."""
        return f"{self.public_url}/confirm?{urlencode({'t': token})}"

    def join(self, secret: str) -> str:
        """Where a person who is invited signs in."""
        return f"{self.console}/join?{urlencode({'t': secret})}"

    def provider_webhook(self, provider: str, agency_id: str, token: Secret) -> str:
        """Where a provider reports on calls. The token makes the address a secret of the agency."""
        return f"{self._provider(provider, agency_id)}?{urlencode({'token': token.reveal()})}"

    def transfer(self, provider: str, agency_id: str, token: Secret) -> str:
        """Where an assistant asks to transfer its caller to a person."""
        return f"{self._provider(provider, agency_id)}/transfer?{urlencode({'token': token.reveal()})}"

    def _provider(self, provider: str, agency_id: str) -> str:
        return f"{self.public_url}/webhooks/{provider}/{agency_id}"
