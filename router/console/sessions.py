"""Sessions: a cookie that holds the visitor's token and form token, sealed with the platform keyring.

The cookie alone is the session, so that every replica knows it; only sessions that were ended early are recorded
(`Sessions`).
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from crypto import Keyring, OpenError, Secret
from router.console.services import ConsoleServices

LIFE: Final = timedelta(hours=12)
_CONTEXT: Final = "session"
_NAME: Final = "callrouter_console"


@dataclass(frozen=True, slots=True)
class Session:
    """`token` None: a visitor of the sign-in page. `form_token` proves that a form came from our own page."""

    id: str
    form_token: str = field(repr=False)
    began: datetime
    token: Secret | None = None
    is_admin: bool = False

    @property
    def ends(self) -> datetime:
        return self.began + LIFE

    def is_own_form(self, given: str) -> bool:
        return hmac.compare_digest(self.form_token.encode(), given.encode())


def new_session(now: datetime, token: Secret | None = None, *, is_admin: bool = False) -> Session:
    """With a new id, also at sign-in, so that an id planted before it is worthless."""
    return Session(secrets.token_urlsafe(18), secrets.token_urlsafe(24), now, token, is_admin)


def read_session(services: ConsoleServices, request: Request) -> Session | None:
    """None without a cookie, and for one that is forged or expired."""
    envelope = request.cookies.get(_cookie_name(services), "")
    session = open_session(services.keyring, envelope) if envelope else None
    if session is None or not session.began <= services.clock() < session.ends:
        return None
    return session


def keep_session(services: ConsoleServices, response: Response, session: Session) -> None:
    response.set_cookie(
        _cookie_name(services),
        seal_session(services.keyring, session),
        max_age=int(LIFE.total_seconds()),
        path=services.home,
        secure=services.secure,
        httponly=True,
        samesite="lax",  # with strict, a link in an email would lead to the sign-in page
    )


def drop_session(services: ConsoleServices, response: Response) -> None:
    response.delete_cookie(
        _cookie_name(services), path=services.home, secure=services.secure, httponly=True, samesite="lax"
    )


def seal_session(keyring: Keyring, session: Session) -> str:
    content = {
        "id": session.id,
        "form": session.form_token,
        "began": session.began.isoformat(),
        "token": session.token.reveal() if session.token else None,
        "admin": session.is_admin,
    }
    return keyring.seal(json.dumps(content), _CONTEXT)


def open_session(keyring: Keyring, envelope: str) -> Session | None:
    try:
        content = json.loads(keyring.open_bytes(envelope, _CONTEXT))
    except OpenError:
        return None
    return Session(
        id=content["id"],
        form_token=content["form"],
        began=datetime.fromisoformat(content["began"]),
        token=Secret(content["token"]) if content["token"] else None,
        is_admin=content["admin"],
    )


def _cookie_name(services: ConsoleServices) -> str:
    """The prefix keeps plain-http pages of the same host from planting one (RFC 6265bis, 4.1.3.1)."""
    return f"__Secure-{_NAME}" if services.secure else _NAME
