"""Applications that never redirect.

Starlette redirects an address with a slash too many to one made of the request's Host header and scheme, and anyone can
write those. Here such an address is not found; only requests of Twilio and the providers are served as if it had no
slash at the end, because what they call was typed in by people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from router.app.front import Application

_SERVED_WITH_SLASH: Final = ("/webhooks/", "/fallback/")


def make_application(routes: Sequence[BaseRoute], webhooks: Sequence[Route] = (), **options: Any) -> Application:
    """`webhooks` are looked for first. `options` are Starlette's own."""
    app = Application(webhooks, routes, **options)
    router = app.router
    not_found = router.default

    async def try_without_slash(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.endswith("/") and path.startswith(_SERVED_WITH_SLASH):
            # `raw_path` stays: signatures are over the address as it was called.
            await router({**scope, "path": path.rstrip("/")}, receive, send)
        else:
            await not_found(scope, receive, send)

    router.redirect_slashes = False
    router.default = try_without_slash
    return app
