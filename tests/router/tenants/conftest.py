"""The API over real HTTP, with the real adapters, against the sandbox."""

from __future__ import annotations

from tests.support.api_service import api, bulkheads, captured_events, circuits, clock, platform_keys, sandbox, services

__all__ = ["api", "bulkheads", "captured_events", "circuits", "clock", "platform_keys", "sandbox", "services"]
