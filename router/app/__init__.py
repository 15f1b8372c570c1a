"""The composition root: settings become everything that exists once, and the applications that serve it.

Here and in router.cli alone, concrete things meet. What each does is elsewhere.
"""

from __future__ import annotations

from router.app.service import Service, make_service
from router.app.web import create_app, fallback_app, worker_app

__all__ = ["Service", "create_app", "fallback_app", "make_service", "worker_app"]
