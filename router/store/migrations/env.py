"""Alembic's entry: runs the versions over the asyncpg connection that `router.store.migrating` hands in."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=None, transactional_ddl=True, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
