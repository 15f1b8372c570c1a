"""What the outside tells us: verify, parse, hand on."""

from __future__ import annotations
