"""Plays and deletes recordings on request. They are stored at the carrier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.base import ProviderError
from adapters.carrier import Account, Carrier
from adapters.twilio import ABOUT
from router.accounts import REQUEST_SECONDS, Accounts
from router.errors import ConflictError, NoKeyError, NotFoundError, UnreachableError, require
from router.messages.call_recordings import CallRecordings
from router.messages.playback import Playback
from router.messages.retention import Retention
from router.refusals import explain_refusal
from router.store.calls.history import find_call
from router.store.changes import Author, Changes
from router.store.messages.retention import delete_call
from router.store.messages.voicemails import Voicemail, delete_voicemail, find_voicemail

_GONE: Final = 404


@dataclass(frozen=True, slots=True)
class Recordings:
    changes: Changes
    accounts: Accounts
    carrier: Carrier
    retention: Retention
    of_calls: CallRecordings

    async def play(self, agency_id: str, voicemail_id: str, byte_range: str | None) -> Playback:
        """Streamed through us, because the carrier's address requires its token.

        Raises NotFoundError, NoKeyError, KeyRejectedError, UnreachableError.
        """
        voicemail = await self._find(agency_id, voicemail_id)
        account = await self._open(agency_id, voicemail)
        parts = self.carrier.stream_recording(account, voicemail.recording_sid, byte_range, REQUEST_SECONDS)
        try:
            return Playback(await anext(parts), parts)
        except ProviderError as error:
            if error.status == _GONE:
                raise NotFoundError("recording at the carrier") from None
            raise explain_refusal(ABOUT, error) from None

    async def delete_voicemail(self, agency_id: str, voicemail_id: str, author: Author) -> None:
        """At the carrier first. Raises what `play` does."""
        voicemail = await self._find(agency_id, voicemail_id)
        if not voicemail.elsewhere:
            await self._delete_recording(agency_id, voicemail)
        async with self.changes.begin(author, agency_id) as change:
            await delete_voicemail(change.connection, agency_id, voicemail.id, self.changes.clock())
            await change.record("voicemail.deleted", voicemail.id)
            change.done(None)

    async def delete_call(self, agency_id: str, call_id: str, author: Author, *, only_here: bool = False) -> None:
        """With its messages, and at the provider that had it unless `only_here`. Raises NotFoundError, UnreachableError, and
        ConflictError for a call in progress or one that the provider does not delete.
        """
        call = require(await find_call(self.changes.database.settings, agency_id, call_id), "call")
        if call.ended_at is None:
            raise ConflictError("The call is still in progress.")
        if (await self.retention.delete_messages_of_call(agency_id, call.id)).left:
            raise UnreachableError("Its messages could not be deleted at Twilio. Try again soon.")
        if not only_here:
            await self.of_calls.delete(agency_id, call)
        async with self.changes.begin(author, agency_id) as change:
            await delete_call(change.connection, agency_id, call.id, self.changes.clock())
            await change.record("call.deleted", call.id)
            change.done(None)

    async def _delete_recording(self, agency_id: str, voicemail: Voicemail) -> None:
        account = await self._open(agency_id, voicemail)
        try:
            await self.carrier.delete_recording(account, voicemail.recording_sid, REQUEST_SECONDS)
        except ProviderError as error:
            raise explain_refusal(ABOUT, error) from None

    async def _find(self, agency_id: str, voicemail_id: str) -> Voicemail:
        return require(await find_voicemail(self.changes.database.settings, agency_id, voicemail_id), "voicemail")

    async def _open(self, agency_id: str, voicemail: Voicemail) -> Account:
        """The account that holds the recording."""
        account = await self.accounts.open(agency_id, voicemail.account_sid)
        if account is None:
            raise NoKeyError(f"The recording is in the account {voicemail.account_sid}, whose token is not saved here.")
        return account
