"""The outside systems, one module each behind the protocols of `adapters.base`."""

from __future__ import annotations
