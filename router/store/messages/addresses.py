"""Email addresses: which ones of an agency have confirmed, when a link was sent to them, and how many mails went out.

`clients` and `agencies` hold the addresses; each is confirmed for one agency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import fetch_row, returns_row, values

LINK_VALID: Final = timedelta(days=7)
_LINK_EVERY: Final = timedelta(days=1)


async def is_confirmed(connection: Connection, agency_id: str, address: str) -> bool:
    """Whether mail from this agency may go there."""
    statement = """
        SELECT id FROM clients WHERE agency_id = $1 AND notify_email = $2 AND notify_email_confirmed
        UNION ALL
        SELECT id FROM agencies WHERE id = $1 AND alert_email = $2 AND alert_email_confirmed
        LIMIT 1
    """
    return await returns_row(connection, statement, agency_id, address)


async def confirm_address(connection: Connection, agency_id: str, address: str) -> None:
    """Wherever the agency uses it."""
    await connection.execute(
        """UPDATE clients SET notify_email_confirmed = true WHERE agency_id = $1 AND notify_email = $2""",
        agency_id,
        address,
    )
    await connection.execute(
        """UPDATE agencies SET alert_email_confirmed = true WHERE id = $1 AND alert_email = $2""", agency_id, address
    )


async def note_delivery(connection: Connection, agency_id: str, address: str, problem: str | None) -> None:
    """Wherever the agency uses it. `problem`: why a mail was not delivered; None: it was."""
    statement = """
        WITH alerts AS (
            UPDATE agencies SET alert_email_problem = $3
             WHERE id = $1 AND alert_email = $2 AND alert_email_problem IS DISTINCT FROM $3
        )
        UPDATE clients SET notify_email_problem = $3
         WHERE agency_id = $1 AND notify_email = $2 AND notify_email_problem IS DISTINCT FROM $3
    """
    await connection.execute(statement, agency_id, address, problem)


async def is_used(connection: Connection, agency_id: str, address: str) -> bool:
    statement = """
        SELECT id FROM clients WHERE agency_id = $1 AND notify_email = $2
        UNION ALL
        SELECT id FROM agencies WHERE id = $1 AND alert_email = $2
        LIMIT 1
    """
    return await returns_row(connection, statement, agency_id, address)


@dataclass(frozen=True, slots=True)
class Link:
    """By which an address confirms that it wants an agency's mail."""

    id: str
    agency_id: str
    address: str
    sent_at: datetime

    @property
    def until(self) -> datetime:
        """When it expires."""
        return self.sent_at + LINK_VALID


async def claim_link(connection: Connection, link: Link) -> bool:
    """Whether it may be sent: one in a day to a mailbox. `owner+anything@…` is the mailbox of `owner@…`."""
    await connection.execute(
        """DELETE FROM confirmation_links WHERE agency_id = $1 AND sent_at <= $2""",
        link.agency_id,
        link.sent_at - LINK_VALID,
    )
    statement = """
        INSERT INTO confirmation_links AS l (id, agency_id, address, sent_at, mailbox)
        VALUES ($1, $2, $3, $4, regexp_replace(lower($3::text), '[+][^@]*@', '@'))
        ON CONFLICT (agency_id, mailbox) DO UPDATE
           SET id = excluded.id, address = excluded.address, sent_at = excluded.sent_at
         WHERE l.sent_at <= $5
        RETURNING id
    """
    return await returns_row(connection, statement, *values(link), link.sent_at - _LINK_EVERY)


async def find_next_link(connection: Connection, agency_id: str, address: str) -> datetime | None:
    """When the mailbox may get another link. None: it has got none lately."""
    statement = """
        SELECT sent_at FROM confirmation_links
         WHERE agency_id = $1 AND mailbox = regexp_replace(lower($2::text), '[+][^@]*@', '@')
    """
    sent_at: datetime | None = await connection.fetchval(statement, agency_id, address)
    return None if sent_at is None else sent_at + _LINK_EVERY


async def find_link(connection: Connection, link_id: str) -> Link | None:
    statement = """SELECT id, agency_id, address, sent_at FROM confirmation_links WHERE id = $1"""
    return await fetch_row(connection, Link, statement, link_id)


async def give_up_link(connection: Connection, link_id: str) -> None:
    """It was not sent: another one may be."""
    await connection.execute("""DELETE FROM confirmation_links WHERE id = $1""", link_id)


async def count_mail(connection: Connection, agency_id: str, now: datetime, most: int) -> bool:
    """Count one more mail in this hour. False: the agency has sent `most`. True also for an agency that is gone."""
    statement = """
        INSERT INTO mail_counts AS c (agency_id, hour, sent)
        SELECT id, date_trunc('hour', $2::timestamptz, 'UTC'), 1 FROM agencies WHERE id = $1
        ON CONFLICT (agency_id) DO UPDATE
           SET sent = CASE WHEN c.hour = excluded.hour THEN c.sent + 1 ELSE 1 END, hour = excluded.hour
         WHERE c.hour <> excluded.hour OR c.sent < $3
        RETURNING sent
    """
    return await returns_row(connection, statement, agency_id, now, most)


async def is_hour_used_up(connection: Connection, agency_id: str, now: datetime, most: int) -> bool:
    """Whether the agency has sent `most` mails in this hour."""
    statement = """
        SELECT agency_id FROM mail_counts
         WHERE agency_id = $1 AND hour = date_trunc('hour', $2::timestamptz, 'UTC') AND sent >= $3
    """
    return await returns_row(connection, statement, agency_id, now, most)


async def uncount_mail(connection: Connection, agency_id: str) -> None:
    """No server took it."""
    await connection.execute("""UPDATE mail_counts SET sent = greatest(sent - 1, 0) WHERE agency_id = $1""", agency_id)
