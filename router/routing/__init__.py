"""The decision: which rungs a call may take, in which order, and who takes it. Free of HTTP, SQL and provider names."""

from __future__ import annotations
