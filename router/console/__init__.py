"""The pages at /console, where people at agencies do what the API offers: a client of the API, and nothing more."""

from __future__ import annotations

from router.console.routes import console_routes
from router.console.services import ConsoleServices, Sessions

__all__ = ["ConsoleServices", "Sessions", "console_routes"]
