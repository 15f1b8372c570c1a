"""Letters wait as ids; their text is written when they are sent, so that it is up to date.

Agencies take turns, so that one with many letters does not delay the others. A letter takes no place at the mail server
while it is written: recordings that are slow to fetch delay their own agency's letters.
A letter waits up to a week until its address confirms (router.mail.confirming), and while its agency has used up its
mails of the hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeAlias

from router.clock import Clock, utc_now
from router.jobs import GiveUp, Job, JobRunner, RetryPolicy, Turns, ask_for_turn, judge_failure
from router.mail.smtp import Mail, Mailer, MailError
from router.store.messages.addresses import count_mail, is_confirmed, note_delivery, uncount_mail
from router.store.messages.letters import (
    WaitingLetter,
    claim_letter,
    delete_letter,
    find_next_letter,
    hold_letter,
    insert_letter,
    list_agencies_with_letters,
    postpone_letter,
    postpone_letters,
    release_letters,
)
from router.store.pool import Connection, Database
from router.telemetry import emit

SEND: Final = "mail.send"
_POLICY: Final = RetryPolicy(first=timedelta(seconds=30), longest=timedelta(hours=4), attempts=12)  # a day and more
_AT_ONCE: Final = 8  # agencies, each with one letter that is being written or sent
_SENT_AT_ONCE: Final = 4  # in each process; servers count connections
_PLACE_SECONDS: Final = 20.0  # to wait for one of these places
_LEASE: Final = timedelta(minutes=2)
_LONGEST_WAIT: Final = timedelta(days=7)
_LOOK_AGAIN: Final = timedelta(hours=6)  # at a held letter; a confirmation makes it due at once
_HOUR: Final = timedelta(hours=1)

Writer: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Mail | None]]
"""Writes a letter from its ids. None: there is nothing left to say, or no address to send it to."""


async def post(connection: Connection, letter: str, ids: Mapping[str, str | int], *, once: str) -> None:
    """Have a letter of that kind sent, about the agency among the ids. `once`: unless one with this text is waiting."""
    agency_id = str(ids["agency_id"])
    await insert_letter(connection, agency_id, letter, ids, once, utc_now())
    await ask_for_turn(connection, SEND, agency_id)


Told: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Learns what happened to a letter, by its ids."""


async def release(connection: Connection, agency_id: str) -> None:
    """Have what waited for a confirmation sent after this transaction, as far as it may be."""
    if await release_letters(connection, agency_id, utc_now()):
        await ask_for_turn(connection, SEND, agency_id)


class UnconfirmedError(Exception):
    """The letter's address has not confirmed. A writer may raise it to save itself the rest of the work."""


class _HourUsedUp(Exception):  # noqa: N818  not an error: the letter waits
    """The agency has had all its mails of this hour."""


class Letters:
    """The writer of each kind of letter. Without a mailer letters are dropped: no mail server was configured."""

    def __init__(self, mailer: Mailer | None, database: Database, most_an_hour: int, clock: Clock = utc_now) -> None:
        self._database = database
        self._most_an_hour = most_an_hour
        self._clock = clock
        self._turns = Turns(database, clock)
        self._places = asyncio.Semaphore(_SENT_AT_ONCE)
        self._to_anyone: set[str] = set()
        self._mailer = mailer
        self._writers: dict[str, Writer] = {}
        self._sent: dict[str, Told] = {}
        self._given_up: dict[str, Told] = {}

    @property
    def are_sent(self) -> bool:
        return self._mailer is not None

    def write(
        self,
        letter: str,
        writer: Writer,
        *,
        sent: Told | None = None,
        given_up: Told | None = None,
        to_anyone: bool = False,
    ) -> None:
        """`sent` is called when a server took the letter, `given_up` when none will. `to_anyone`: its address need not
        have confirmed.
        """
        self._writers[letter] = writer
        if to_anyone:
            self._to_anyone.add(letter)
        if sent is not None:
            self._sent[letter] = sent
        if given_up is not None:
            self._given_up[letter] = given_up

    def register(self, runner: JobRunner) -> None:
        runner.handle(SEND, self._send_some, at_once=_AT_ONCE)
        runner.repeat(f"{SEND}_overlooked", "* * * * *", self._catch_up)

    async def _catch_up(self) -> None:
        """Have letters sent whose job was lost."""
        pool = self._database.settings
        for agency_id in await list_agencies_with_letters(pool, self._clock()):
            await ask_for_turn(pool, SEND, agency_id)

    async def _send_some(self, job: Job) -> None:
        """One turn of an agency."""
        agency_id = str(job.payload["agency_id"])
        find_next = partial(find_next_letter, self._database.settings, agency_id)
        await self._turns.take(job, find_next, partial(self._send_next, agency_id))

    async def _send_next(self, agency_id: str) -> bool:
        pool, now = self._database.settings, self._clock()
        letter = await claim_letter(pool, agency_id, now, now + _LEASE)
        if letter is None:
            return False
        try:
            await self._send(agency_id, letter, now)
        except UnconfirmedError:
            await hold_letter(pool, letter.id, now + _LOOK_AGAIN)
            return True
        except _HourUsedUp:
            await postpone_letters(pool, agency_id, letter.id, now, next_hour(now))
            return True
        except Exception as error:  # noqa: BLE001  it is logged, and the letter tried again
            wait = judge_failure(_POLICY, Job(SEND, letter.ids, letter.tried + 1), error)
            if wait is not None:
                await postpone_letter(pool, letter.id, self._clock() + wait)
                return True
            if told := self._given_up.get(letter.kind):
                await told(letter.ids)
        await delete_letter(pool, letter.id)
        return True

    async def _send(self, agency_id: str, letter: WaitingLetter, now: datetime) -> None:
        """Raises UnconfirmedError, _HourUsedUp, GiveUp, MailError, TimeoutError, and what writers raise."""
        writer = self._writers.get(letter.kind)
        if writer is None:
            raise GiveUp("unknown_letter")
        if self._mailer is None:
            return
        if now - letter.posted_at >= _LONGEST_WAIT:
            raise GiveUp("waited_too_long")
        pool = self._database.settings
        if not await count_mail(pool, agency_id, now, self._most_an_hour):
            raise _HourUsedUp
        is_sent = False
        try:
            is_sent = await self._write_and_send(self._mailer, writer, agency_id, letter)
        finally:
            if not is_sent:
                await uncount_mail(pool, agency_id)
        if not is_sent:
            return
        emit("mail.sent", letter=letter.kind, agency_id=letter.ids.get("agency_id"))
        if told := self._sent.get(letter.kind):
            await told(letter.ids)

    async def _write_and_send(self, mailer: Mailer, writer: Writer, agency_id: str, letter: WaitingLetter) -> bool:
        """False: there is nothing to send."""
        mail = await writer(letter.ids)
        if mail is None:
            return False
        pool = self._database.settings
        if letter.kind not in self._to_anyone and not await is_confirmed(pool, agency_id, mail.to):
            raise UnconfirmedError
        try:
            async with self._place():
                await mailer.send(mail)
        except MailError as error:
            if error.final or _POLICY.wait(letter.tried + 1) is None:
                await note_delivery(pool, agency_id, mail.to, error.words)
            if error.final:
                raise GiveUp(error.kind) from None
            raise
        await note_delivery(pool, agency_id, mail.to, None)
        return True

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """At the mail server. Raises TimeoutError if others take too long there."""
        async with asyncio.timeout(_PLACE_SECONDS):
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()


def next_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + _HOUR
