"""Mail about messages: to the client's `notify_email`, with the recording attached, written when it is sent.

The row says whether mail is due; a job, and a run every minute, post the letters, and router.mail sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, timedelta
from functools import partial
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Carrier
from adapters.phone import WITHHELD, is_e164
from router.accounts import REQUEST_SECONDS, Accounts
from router.callers import name_caller
from router.calls.events import note_within, state_of
from router.clock import Clock
from router.jobs import Job, JobRunner
from router.mail import Attachment, Letters, Mail, UnconfirmedError, post
from router.messages.mailbox import MAIL_DUE
from router.store.calls.calls import find_agency_call
from router.store.messages.voicemails import Message, claim_due_mail, find_message, set_mail_state
from router.store.pool import COMMAND_SECONDS, Database

VOICEMAIL: Final = "voicemail"  # the kind of letter
_AT_A_TIME: Final = 100
_MOST_BYTES: Final = 8 * 1024 * 1024  # many mail servers take ten in all, and base64 adds a third
_AUDIO_SECONDS: Final = 15.0  # for the whole recording; longer ones are tried again, behind the others' mails
_AUDIO_PATIENCE: Final = timedelta(hours=1)  # after that the mail goes without the recording

_TEXT: Final = """\
{client} has a new message.

From:   {caller}
When:   {when}
Length: {length}
{transcript}
{recording}
"""
_RECORDINGS: Final = {
    "attached": "The recording is attached.",
    "too_large": "The recording is too large to attach. It is kept with the client's messages.",
    "gone": "The recording is no longer there.",
    "out_of_reach": "The recording could not be fetched. It is kept with the client's messages.",
}


@dataclass(frozen=True, slots=True)
class _Audio:
    """A recording, or why it is not attached."""

    found: Literal["attached", "too_large", "gone", "out_of_reach"]
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class MessageMail:
    database: Database
    clock: Clock
    accounts: Accounts
    carrier: Carrier

    def register(self, runner: JobRunner, letters: Letters) -> None:
        async def post_now(_: Job) -> None:
            await self.post_due(letters)

        letters.write(
            VOICEMAIL,
            self.write,
            sent=partial(self._settle, "delivered"),
            given_up=partial(self._settle, "undelivered"),
        )
        runner.handle(MAIL_DUE, post_now)
        runner.repeat(f"{MAIL_DUE}_overlooked", "* * * * *", lambda: self.post_due(letters))

    async def post_due(self, letters: Letters) -> None:
        """Post a letter about each message that has none, later if its transcript is still expected."""
        while True:
            async with (
                self.database.settings.acquire(timeout=COMMAND_SECONDS) as connection,
                connection.transaction(),
            ):
                due = await claim_due_mail(connection, self.clock(), _AT_A_TIME, wanted=letters.are_sent)
                for each in due:
                    if each.wanted:
                        ids = {"voicemail_id": each.voicemail_id, "agency_id": each.agency_id}
                        await post(connection, VOICEMAIL, ids, once=each.voicemail_id)
            if len(due) < _AT_A_TIME:
                return

    async def write(self, ids: Mapping[str, Any]) -> Mail | None:
        """None: the message is gone or was mailed already, or the client no longer wants mail.

        Raises UnconfirmedError, and ProviderError or TimeoutError while the recording may still become available.
        """
        message = await find_message(self.database.settings, ids["voicemail_id"])
        if message is None or message.mail_state != "posted":
            return None
        if message.notify_email is None:
            await set_mail_state(self.database.settings, message.id, "none")
            return None
        if not message.notify_email_confirmed:
            raise UnconfirmedError
        audio = await self._fetch_audio(message)
        caller = _name(message.from_number)
        text = _TEXT.format(
            client=message.client_name,
            caller=caller,
            when=_local_time(message),
            length="unknown" if message.seconds is None else f"{message.seconds} seconds",
            transcript=f"\n{message.transcript}\n" if message.transcript else "",
            recording=_RECORDINGS[audio.found],
        )
        attached = Attachment(f"{message.id}.mp3", "audio/mpeg", audio.data)
        return Mail(
            id=message.id,
            to=message.notify_email,
            subject=f"Message for {' '.join(message.client_name.split())} from {caller}",
            text=text,
            attachments=(attached,) if audio.found == "attached" else (),
        )

    async def _settle(self, mail_state: Literal["delivered", "undelivered"], ids: Mapping[str, Any]) -> None:
        """Note in the row and in the call's timeline that a server took the mail, or that none will."""
        message = await find_message(self.database.settings, ids["voicemail_id"])
        if message is None:
            return
        async with self.database.settings.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            await set_mail_state(connection, message.id, mail_state)
            if call := await find_agency_call(connection, message.agency_id, message.call_id):
                event, now = f"voicemail.{mail_state}", self.clock()
                await note_within(connection, state_of(call), event, now, step=message.id, voicemail_id=message.id)

    async def _fetch_audio(self, message: Message) -> _Audio:
        """Raises ProviderError, and TimeoutError, while the recording may still become available."""
        account = await self.accounts.open(message.agency_id, message.account_sid)
        if account is None:
            return _Audio("out_of_reach")
        data = bytearray()
        parts = self.carrier.stream_recording(account, message.recording_sid, None, REQUEST_SECONDS)
        try:
            async with asyncio.timeout(_AUDIO_SECONDS), aclosing(parts):  # type: ignore[type-var]
                async for part in parts:
                    data += part.data
                    if max(len(data), part.content_length or 0) > _MOST_BYTES:
                        return _Audio("too_large")
        except (ProviderError, TimeoutError) as error:
            if self.clock() - message.at < _AUDIO_PATIENCE:
                raise  # it may not be ready yet
            is_gone = isinstance(error, ProviderError) and error.kind is ErrorKind.BAD_REQUEST
            return _Audio("gone" if is_gone else "out_of_reach")
        return _Audio("attached", bytes(data))


def _name(caller: str) -> str:
    """Anything but a number may hold what no letter's header can."""
    if name_caller(caller) == WITHHELD:
        return "a withheld number"
    if is_e164(caller):
        return caller
    return "a caller without a phone number"


def _local_time(message: Message) -> str:
    """In the time zone of the client's opening hours, else in UTC."""
    zone = (message.routing.get("hours") or {}).get("timezone")
    at = message.at.astimezone(ZoneInfo(zone) if zone else UTC)
    return f"{at:%Y-%m-%d %H:%M} ({zone or 'UTC'})"
