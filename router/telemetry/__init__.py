"""What the service tells about itself: log lines from a catalogue, and metrics.

`emit` is the one way to log. The lowest layer: imports nothing else of ours.
"""

from __future__ import annotations

from router.telemetry.events import CALL_EVENTS, EVENTS
from router.telemetry.log import UndeclaredError, configure_logging, emit

__all__ = ["CALL_EVENTS", "EVENTS", "UndeclaredError", "configure_logging", "emit"]
