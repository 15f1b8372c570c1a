"""The composition root: makes every object from the settings, once, and the applications that serve them."""

from __future__ import annotations

from router.app.service import Service, make_service
from router.app.web import create_app, fallback_app, fallback_ops_app, ops_app

__all__ = ["Service", "create_app", "fallback_app", "fallback_ops_app", "make_service", "ops_app"]
