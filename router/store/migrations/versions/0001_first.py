"""The schema of the first version. Its statements are in ../0001, one file an area, in the order of their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from alembic import op
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from sqlalchemy.util import await_only

from router.store.queue_names import QUEUE

revision = "0001"
down_revision = None

_AREAS: Final = Path(__file__).parents[1] / revision


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # only the driver itself takes many statements in one text
    for area in sorted(_AREAS.glob("*.sql")):
        await_only(driver.execute(area.read_text()))
    await_only(driver.execute(QueryBuilderEnvironment(QUEUE).build_install_query()))  # as its version in use wants them


def downgrade() -> None:
    raise RuntimeError("the first version has nothing before it: restore a backup instead")
