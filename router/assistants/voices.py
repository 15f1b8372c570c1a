"""The voices that an agency may give to its assistants, as its providers list them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Voice
from adapters.registry import Providers
from crypto import OpenError
from router.assistants.site import LIMIT, UNREADABLE
from router.errors import NoKeyError, NotFoundError
from router.refusals import explain_no_key, explain_refusal
from router.store.keys.versions import find_key_in_use
from router.store.pool import Database
from router.vault import Vault

_GRACE: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class ProviderVoices:
    database: Database
    providers: Providers
    vault: Vault

    async def list_all(self, agency_id: str, provider: str) -> Sequence[Voice]:
        """Asks the provider with the agency's key. Raises DomainError."""
        there = self.providers[provider]
        if there.list_voices is None:
            raise NotFoundError("list of voices")
        key = await find_key_in_use(self.database.settings, agency_id, provider)
        if key is None:
            raise explain_no_key(provider, there.label)
        try:
            async with asyncio.timeout(LIMIT + _GRACE):
                return await there.list_voices(there.open(self.vault.open_key(key), LIMIT))
        except OpenError:
            raise NoKeyError(UNREADABLE) from None
        except ProviderError as error:
            raise explain_refusal(there.about, error) from None
        except TimeoutError:
            raise explain_refusal(there.about, ProviderError(ErrorKind.TIMEOUT)) from None
