"""The names of PgQueuer's tables and channel, independent of the environment.

PgQueuer would read them from variables as common as CHANNEL and TRIGGER, and processes with different ones would not
find each other.
"""

from __future__ import annotations

from typing import Final

from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

QUEUE: Final = DBSettings.model_construct(
    prefix="",
    db_schema=None,
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
    durability=Durability.durable,
    widen_id=False,
)
