"""What a carrier has to offer us, in our own words: accounts, numbers, live calls and recordings.

Protocols and data only, as in `adapters.base`. Every method raises ProviderError; `limit` is in seconds, for each
request. A method makes one request, except that listing makes one per page as far as it is read. Nothing is retried.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias

from adapters.base import KeyCheck, ProviderError
from crypto.secret import Secret


class NumberGone(ProviderError):  # noqa: N818 - it says what became of the number
    """The number was sold, or the carrier no longer has it: another number may be bought instead."""


class PapersRequired(ProviderError):  # noqa: N818 - it says what is missing
    """The carrier sells the number only with an address or a regulatory bundle on file."""


class CallOver(ProviderError):  # noqa: N818 - it says what became of the call
    """The call has ended or is not live yet, so it cannot be changed."""


@dataclass(frozen=True, slots=True)
class Account:
    """A carrier account with what opens it."""

    sid: str
    auth_token: Secret


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A revocable credential of an account. The carrier shows its secret only once."""

    sid: str
    secret: Secret


AddressNeed: TypeAlias = Literal["none", "any", "local", "foreign"]
"""The address that a country requires on file before a number is bought; `local` is one in that country."""


@dataclass(frozen=True, slots=True)
class AvailableNumber:
    """A number that takes calls and could be bought. `country` is ISO 3166-1 alpha-2."""

    e164: str
    country: str
    locality: str | None
    region: str | None
    kind: Literal["local", "mobile", "national", "toll_free"]
    needs_address: AddressNeed


@dataclass(frozen=True, slots=True)
class CarrierNumber:
    """A phone number as the carrier has it. URLs are empty where none is set; methods are GET or POST."""

    sid: str
    e164: str
    voice_url: str = field(repr=False)  # a provider's may hold a secret
    fallback_url: str
    status_url: str
    trunk_sid: str | None = None  # set: the carrier ignores voice_url
    application_sid: str | None = None  # likewise
    voice_method: str = "POST"
    fallback_method: str = "POST"
    status_method: str = "POST"
    friendly_name: str = ""


ENDED: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""The statuses of a call that is over. One with any other word, also a word that we do not know, is not."""


@dataclass(frozen=True, slots=True)
class CarrierCall:
    """A call as the carrier has it. `seconds` is None while it lasts, and for an unanswered call."""

    sid: str
    caller: str  # as the carrier spells it: E.164, or a word for a withheld number
    to: str
    status: str
    inbound: bool
    started_at: datetime | None
    ended_at: datetime | None
    seconds: int | None
    parent_sid: str | None = None  # set: a leg that a call of ours made
    forwarded_from: str | None = None

    @property
    def is_live(self) -> bool:
        return self.status not in ENDED


@dataclass(frozen=True, slots=True)
class CarrierRecording:
    """A recording as the carrier has it. `complete`: its audio can be fetched. `is_message`: a voicemail, not a
    conversation.
    """

    sid: str
    call_sid: str
    made_at: datetime | None
    seconds: int | None
    complete: bool
    is_message: bool = True


@dataclass(frozen=True, slots=True)
class RecordingPart:
    """A piece of a recording; the first one carries status and headers, and no data."""

    data: bytes = b""
    status: int = 200
    content_type: str = "audio/mpeg"
    content_length: int | None = None
    content_range: str | None = None


class CarrierAccounts(Protocol):
    """Accounts, the subaccounts of a main one, and their revocable keys."""

    async def check_account(self, account: Account, limit: float) -> KeyCheck:
        """A real request that proves SID and token, and that the account is active."""

    async def find_subaccount(self, main: Account, friendly_name: str, limit: float) -> Account | None:
        """The open one of exactly that name; the oldest if two were created at once."""

    async def create_subaccount(self, main: Account, friendly_name: str, limit: float) -> Account:
        """`friendly_name` has at most 64 characters."""

    async def close_subaccount(self, main: Account, sid: str, limit: float) -> None:
        """Permanently; its numbers go back to the carrier."""

    async def create_api_key(self, account: Account, friendly_name: str, limit: float) -> ApiKey: ...

    async def find_api_keys(self, account: Account, friendly_name: str, limit: float) -> list[str]:
        """The SIDs of all keys of exactly that name. One whose secret was lost can only be deleted."""

    async def delete_api_key(self, account: Account, key_sid: str, limit: float) -> None:
        """Also fine if it is gone already."""


class CarrierNumbers(Protocol):
    """Numbers: what could be bought, what an account has, and where its calls go."""

    async def search_numbers(
        self, account: Account, country: str, area_code: str | None, count: int, limit: float
    ) -> list[AvailableNumber]:
        """At most `count` numbers that take calls, of the most local kind on sale in the country; empty if there is none.
        Makes one request for the kinds, and one per kind until something is found.
        """

    async def buy_number(
        self,
        account: Account,
        e164: str,
        *,
        voice_url: str,
        fallback_url: str,
        status_url: str,
        friendly_name: str,
        limit: float,
    ) -> CarrierNumber:
        """One request that costs money and also points the number at us. After a timeout the number may be ours anyway:
        check with `find_number`. Raises NumberGone, PapersRequired.
        """

    async def find_number(self, account: Account, e164: str, limit: float) -> CarrierNumber | None: ...

    async def find_number_by_sid(self, account: Account, number_sid: str, limit: float) -> CarrierNumber | None: ...

    async def configure_number(
        self, account: Account, number_sid: str, *, voice_url: str, fallback_url: str, status_url: str, limit: float
    ) -> CarrierNumber:
        """Point the number at us: POST for all three addresses, and no trunk or application that would override them."""

    async def release_number(self, account: Account, number_sid: str, limit: float) -> None:
        """Give it back. Also fine if it is gone already."""


class CarrierCalls(Protocol):
    """Calls, the live ones above all."""

    async def limit_call(self, account: Account, call_sid: str, seconds: int, limit: float) -> None:
        """Limit the length of a live call, counted from its start."""

    async def redirect_call(
        self,
        account: Account,
        call_sid: str,
        url: str,
        *,
        fallback_url: str | None = None,
        seconds: int | None = None,
        limit: float,
    ) -> None:
        """Make a live call continue with the document at `url` (absolute, requested by POST).

        `fallback_url` is used if that fails; `seconds` is a new limit, as in `limit_call`. Raises CallOver.
        """

    async def end_call(self, account: Account, call_sid: str, limit: float) -> None:
        """Hang up. Also fine if it is over already."""

    async def place_call(
        self, account: Account, caller: str, to: str, twiml: str, *, seconds: int, limit: float
    ) -> str:
        """Call a number (E.164) from one of the account's, play `twiml` when it is answered, and return the call's SID.

        One request that costs money: never repeated here. `seconds`: how long the call may last.
        """

    async def find_call(self, account: Account, call_sid: str, limit: float) -> CarrierCall | None: ...

    def list_calls(self, account: Account, to: str | None, since: datetime, limit: float) -> AsyncIterator[CarrierCall]:
        """Calls that began at `since` or later, newest first; only those to `to` if given. Legs are calls, too."""


class CarrierRecordings(Protocol):
    """Recordings and their audio."""

    def list_recordings(
        self, account: Account, call_sid: str | None, since: datetime | None, limit: float
    ) -> AsyncIterator[CarrierRecording]:
        """Those of one call, or all; created at `since` or later."""

    def stream_recording(
        self, account: Account, recording_sid: str, byte_range: str | None, limit: float
    ) -> AsyncIterator[RecordingPart]:
        """The recording's audio (MP3). Yields first the head, then pieces of the body."""

    async def delete_recording(self, account: Account, recording_sid: str, limit: float) -> None:
        """Also fine if it is gone already."""


class Carrier(CarrierAccounts, CarrierNumbers, CarrierCalls, CarrierRecordings, Protocol):
    """The company that holds the caller's line."""
