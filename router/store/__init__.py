"""PostgreSQL: the pool, one module a table group, migrations, and the embedded server for one machine."""

from __future__ import annotations
