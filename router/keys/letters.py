"""Mail to agencies about their keys: one that stopped working, or all lines of one in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.registry import Providers
from router.accounts import CARRIER
from router.addresses import Addresses
from router.calls.key_notes import CALLS_OVERFLOWED
from router.mail import Letters, Mail
from router.store.keys.versions import StoredKey, find_key_in_use
from router.store.pool import Database
from router.store.tenants.agencies import Agency, find_agency

KEY_FAILING: Final = "key_failing"

_REFUSED: Final = """\
Hello {agency},

{label} refuses your {what} ending in {last4}{said}

{meanwhile}

What to do: save a working {what} under {console}.
{find_key}

You get no other mail about this unless the key recovers and fails again.
"""

_UNPROVEN: Final = """\
Hello {agency},

Twilio signs the requests of your account with a shared key that is not saved here. They cannot be verified, so they are
refused.

{meanwhile}

What to do: save the shared key's id and secret together with the account's token under {console}, or remove the
webhook rule at Twilio.

You get no other mail about this until you save the token again.
"""

_NO_CREDIT: Final = """\
Hello {agency},

{label} no longer takes calls with your {what} ending in {last4}: the account has no credit left{said}

{meanwhile}

What to do: add credit{top_up}, and switch on automatic top-up if it has one. Nothing needs to be changed here.

You get no other mail about this unless the key recovers and fails again.
"""

_OVERFLOWED: Final = """\
Hello {agency},

All of your {limit}lines at {label} were in use, so a call went to your other providers, or else to the client's
own phone or a voicemail. No caller heard a busy tone.

What to do: raise the number of concurrent calls at {label}, or save a key of a second provider under {console}.

You get no other mail about this until the number of lines changes.
"""

_OTHER_PROVIDERS: Final = (
    "Until then calls go to your other providers or, if you have none, to the client's own phone or a voicemail."
)
_OWNER_OR_VOICEMAIL: Final = (
    "Until then calls to numbers on that account ring the client's own phone or reach a voicemail."
)


@dataclass(frozen=True, slots=True)
class KeyLetters:
    database: Database
    addresses: Addresses
    providers: Providers

    def register(self, letters: Letters) -> None:
        letters.write(KEY_FAILING, self.write_failing)
        letters.write(CALLS_OVERFLOWED, self.write_overflowed)

    async def write_failing(self, ids: Mapping[str, Any]) -> Mail | None:
        """None if the key works again or was replaced, or the agency wants no mail."""
        found = await self._find(ids)
        if found is None:
            return None
        agency, key = found
        if key.unproven_at is not None:
            text = _UNPROVEN.format(agency=agency.name, meanwhile=_OWNER_OR_VOICEMAIL, console=self.addresses.console)
            subject = "Twilio signs requests with a shared key that is not saved"
            return Mail(_id(KEY_FAILING, ids, key), agency.alert_email or "", subject, text)
        if key.status == "valid":
            return None
        about = self.providers.about(key.kind)
        failing, what = key.status == "failing", "token" if key.kind == CARRIER else "key"
        text = (_REFUSED if failing else _NO_CREDIT).format(
            agency=agency.name,
            label=about.label,
            what=what,
            last4=key.last4,
            said=f". It says: {key.problem}" if key.problem else ".",
            meanwhile=_OWNER_OR_VOICEMAIL if key.kind == CARRIER else _OTHER_PROVIDERS,
            console=self.addresses.console,
            find_key=about.find_key,
            top_up=f" under {about.top_up}" if about.top_up else f" at {about.label}",
        )
        subject = f"{about.label} refuses your {what}" if failing else f"No credit left at {about.label}"
        return Mail(_id(KEY_FAILING, ids, key), agency.alert_email or "", subject, text)

    async def write_overflowed(self, ids: Mapping[str, Any]) -> Mail | None:
        found = await self._find(ids)
        if found is None:
            return None
        agency, key = found
        label = self.providers.label(key.kind)
        limit = "" if key.lines_limit is None else f"{key.lines_limit} "
        text = _OVERFLOWED.format(agency=agency.name, label=label, limit=limit, console=self.addresses.console)
        subject = f"All lines at {label} were in use"
        return Mail(_id(CALLS_OVERFLOWED, ids, key), agency.alert_email or "", subject, text)

    async def _find(self, ids: Mapping[str, Any]) -> tuple[Agency, StoredKey] | None:
        pool = self.database.settings
        agency = await find_agency(pool, ids["agency_id"])
        key = await find_key_in_use(pool, ids["agency_id"], ids["kind"])
        if agency is None or agency.alert_email is None or key is None or key.version != ids["version"]:
            return None
        return agency, key


def _id(letter: str, ids: Mapping[str, Any], key: StoredKey) -> str:
    """The mail's id: the same if it is sent twice by accident."""
    since = int(key.failing_since.timestamp()) if key.failing_since else 0
    return f"{letter}.{ids['agency_id']}.{key.kind}.{key.version}.{since}"
