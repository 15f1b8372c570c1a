"""Numbers that go on after a restore, a change of host or an upgrade of PostgreSQL.

A restored database may be older than what streams have seen of it, and logical replication takes no sequences along. So
once the database lives elsewhere, numbers continue far above all that can have been given out.
"""

from __future__ import annotations

from typing import Final

from router.store.pool import Connection

_FAR: Final = 1_000_000_000
_LOCK: Final = """SELECT pg_advisory_xact_lock(hashtextextended('numbering', 0))"""

# Which server, since which fail-over or point of recovery, and which database there.
_HERE: Final = """
SELECT concat_ws('/', s.system_identifier, c.timeline_id, d.oid)
  FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d
 WHERE d.datname = current_database()
"""

_PLACES: Final = """
SELECT setval('call_event_places', $1 + greatest(
           (SELECT last_value FROM call_event_places),
           (SELECT max(place) FROM endpoints),
           (SELECT max(latest.seq)
              FROM agencies a
             CROSS JOIN LATERAL (SELECT e.seq FROM call_events e
                                  WHERE e.agency_id = a.id ORDER BY e.seq DESC LIMIT 1) latest)))
"""

# Of the queue, which needs its numbers to be free, and no more.
_QUEUE: Final = """
SELECT setval(pg_get_serial_sequence('pgqueuer', 'id'), (SELECT max(id) + $1 FROM pgqueuer)),
       setval(pg_get_serial_sequence('pgqueuer_log', 'id'), (SELECT max(id) + $1 FROM pgqueuer_log)),
       setval(pg_get_serial_sequence('pgqueuer_schedules', 'id'), (SELECT max(id) + $1 FROM pgqueuer_schedules)),
       setval(pg_get_serial_sequence('pgqueuer_statistics', 'id'), (SELECT max(id) + $1 FROM pgqueuer_statistics))
"""


async def continue_numbering(connection: Connection) -> None:
    """Needs a transaction."""
    await connection.execute(_LOCK)
    here = await connection.fetchval(_HERE)
    before = await connection.fetchval("""SELECT place FROM numbered_at""")
    if before == here:
        return
    if before is not None:
        await connection.execute(_PLACES, _FAR)
        await connection.execute(_QUEUE, _FAR)
    await connection.execute(
        """INSERT INTO numbered_at (place) VALUES ($1) ON CONFLICT (single) DO UPDATE SET place = $1""", here
    )


async def is_continued(connection: Connection) -> bool:
    """Whether `callrouter migrate` was run since the database lives here."""
    return bool(await connection.fetchval(f"""SELECT EXISTS (SELECT FROM numbered_at WHERE place = ({_HERE}))"""))
