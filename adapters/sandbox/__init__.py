"""Local stand-ins for the four outside APIs and a carrier that executes our TwiML: for `demo`, `call` and tests."""

from __future__ import annotations
