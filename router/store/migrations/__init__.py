"""The schema's history, run by Alembic. Each version is plain SQL that code N-1 can still work on."""

from __future__ import annotations
