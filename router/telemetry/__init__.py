"""Log lines from a catalogue of events, and metrics. `emit` is the only way to log.

This is the lowest layer: it imports nothing else of ours.
"""

from __future__ import annotations

from router.telemetry.events import CALL_EVENTS, EVENTS
from router.telemetry.log import UndeclaredError, configure_logging, emit

__all__ = ["CALL_EVENTS", "EVENTS", "UndeclaredError", "configure_logging", "emit"]
