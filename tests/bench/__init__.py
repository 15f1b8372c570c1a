"""How much an answered call costs the service, beside the least that it could cost. Ratios of one run, no absolute times."""

from __future__ import annotations
