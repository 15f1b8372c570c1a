"""Prints the JSON Schema of the log: `python -m router.telemetry > deploy/log-events.schema.json`."""

from __future__ import annotations

import json
import sys

from router.telemetry.events import make_schema

if __name__ == "__main__":
    sys.stdout.write(json.dumps(make_schema(), indent=2) + "\n")
