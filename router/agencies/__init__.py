"""Settings of agencies, and the HTTP API under /v1 that changes and shows them."""

from __future__ import annotations

from router.agencies.api import api_routes
from router.agencies.services import ApiServices

__all__ = ["ApiServices", "api_routes"]
