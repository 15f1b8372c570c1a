"""An inbound number at Bland: reading its settings, writing some of them, and leaving it to nobody.

Bland docs: Number details, Update inbound number details, List inbound numbers. What the settings say is decided in
`settings`; whose number it is, by whoever calls this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.bland.api import LISTS, Api, is_gone, listed, number_path
from adapters.bland.settings import NEUTRAL, is_made_by_hand, marker_on
from adapters.phone import is_e164
from adapters.portable import Counterpart, Wiring
from crypto.secret import Secret

ACCOUNT: Final = "encrypted_key"
"""The part of a counterpart without which Bland lets nobody change a number that is on a carrier's account."""


class Inbound(Api):
    """Settings of numbers. Every method raises ProviderError."""

    async def find_settings(
        self, e164: str, key: Secret, limit: float, account: Secret | None = None
    ) -> dict[str, Any] | None:
        """None if this key has no such number."""
        if not is_e164(e164):
            raise ProviderError(ErrorKind.BAD_REQUEST, said="a number at Bland is written like +14155550100")
        try:
            answer = await self.ask("GET", number_path(e164), key, limit, account=account)
        except ProviderError as error:
            if is_gone(error):
                return None
            raise
        inner = answer.get("data")
        return inner if isinstance(inner, dict) else answer

    async def read_settings(
        self, e164: str, key: Secret, limit: float, account: Secret | None = None
    ) -> dict[str, Any]:
        """Raises ProviderError(BAD_REQUEST) if this key has no such number."""
        settings = await self.find_settings(e164, key, limit, account)
        if settings is None:
            raise ProviderError(ErrorKind.BAD_REQUEST, said=f"Bland has no number {e164} for this key")
        return settings

    async def list_numbers(self, key: Secret, limit: float) -> list[tuple[str, dict[str, Any]]]:
        """All numbers that the key owns there, with what Bland shows of their settings."""
        answer = await self.ask("GET", "/v1/inbound", key, limit, max_bytes=LISTS)
        numbers = ((each.get("phone_number"), each) for each in listed(answer, "inbound_numbers"))
        return [(e164, settings) for e164, settings in numbers if is_e164(e164)]

    async def write_settings(
        self,
        e164: str,
        changes: Mapping[str, Any],
        key: Secret,
        limit: float,
        account: Secret | None = None,
        secrets: Sequence[Secret] = (),
    ) -> None:
        """`changes` must hold a prompt: Bland wants one every time. What Bland does not take is a BAD_REQUEST."""
        answer = await self.ask("POST", number_path(e164), key, limit, json=changes, account=account, secrets=secrets)
        failed = answer.get("failed_updates")
        if isinstance(failed, dict) and (ours := sorted(failed.keys() & changes.keys())):
            raise ProviderError(ErrorKind.BAD_REQUEST, said=f"Bland did not take {', '.join(ours)} for {e164}")

    async def free_number(
        self, number: Counterpart, marker: str | None, key: Secret, limit: float, wiring: Wiring | None = None
    ) -> None:
        """It takes messages from now on: a prompt cannot be empty. Left alone if it is gone, was given something else
        by hand, or has an assistant of ours that is not `marker`'s.
        """
        account = account_of(number)
        settings = await self.find_settings(number.remote_id, key, limit, account)
        if settings is None or is_made_by_hand(settings) or marker_on(settings) not in {None, marker}:
            return
        freed = {"pathway_id": None} if settings.get("pathway_id") else {}
        webhook = {"webhook": Secret(wiring.webhook_url)} if wiring else {}
        secrets = (wiring.secret,) if wiring else ()
        await self.write_settings(number.remote_id, {**NEUTRAL, **webhook, **freed}, key, limit, account, secrets)


def account_of(number: Counterpart) -> Secret | None:
    """The encrypted key of the account that the number is on; None for a number of Bland's own."""
    encrypted = number.parts.get(ACCOUNT)
    return Secret(encrypted) if encrypted else None
