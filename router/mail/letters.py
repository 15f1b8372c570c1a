"""Letters wait in the queue as ids; their text is written when they are sent, so that it is up to date."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias

from router.jobs import GiveUp, Job, JobRunner, RetryPolicy, enqueue
from router.mail.smtp import Mail, Mailer, MailError
from router.store.pool import Connection
from router.telemetry import emit

SEND: Final = "mail.send"
_POLICY: Final = RetryPolicy(first=timedelta(seconds=30), longest=timedelta(hours=4), attempts=12)  # a day and more
_AT_ONCE: Final = 4  # servers count connections

Writer: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Mail | None]]
"""Writes a letter from its ids. None: there is nothing left to say, or no address to send it to."""


async def post(connection: Connection, letter: str, ids: Mapping[str, str | int], *, once: str) -> None:
    """Have a letter of that kind sent. `once`: unless one with this text is waiting."""
    await enqueue(connection, SEND, {"letter": letter, **ids}, once=f"{SEND}/{letter}/{once}")


Told: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Learns what happened to a letter, by its ids."""


class Letters:
    """The writer of each kind of letter. Without a mailer letters are dropped: no mail server was configured."""

    def __init__(self, mailer: Mailer | None) -> None:
        self._mailer = mailer
        self._writers: dict[str, Writer] = {}
        self._sent: dict[str, Told] = {}
        self._given_up: dict[str, Told] = {}

    @property
    def are_sent(self) -> bool:
        return self._mailer is not None

    def write(self, letter: str, writer: Writer, *, sent: Told | None = None, given_up: Told | None = None) -> None:
        """`sent` is called when a server took the letter, `given_up` when none will."""
        self._writers[letter] = writer
        if sent is not None:
            self._sent[letter] = sent
        if given_up is not None:
            self._given_up[letter] = given_up

    def register(self, runner: JobRunner) -> None:
        runner.handle(SEND, self._send, policy=_POLICY, at_once=_AT_ONCE, given_up=self._give_up)

    async def _send(self, job: Job) -> None:
        writer = self._writers.get(job.payload["letter"])
        if writer is None:
            raise GiveUp("unknown_letter")
        if self._mailer is None:
            return
        mail = await writer(job.payload)
        if mail is None:
            return
        try:
            await self._mailer.send(mail)
        except MailError as error:
            if error.final:
                raise GiveUp(error.kind) from None
            raise
        emit("mail.sent", letter=job.payload["letter"], agency_id=job.payload.get("agency_id"))
        if told := self._sent.get(job.payload["letter"]):
            await told(job.payload)

    async def _give_up(self, job: Job) -> None:
        if told := self._given_up.get(job.payload["letter"]):
            await told(job.payload)
