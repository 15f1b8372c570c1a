"""What the console is handed: the API as an application, and what its sessions are sealed with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from adapters.registry import Declarations
from crypto import Keyring
from router.clock import Clock
from router.console.kinds import Kinds, kinds_of
from router.mail import Confirmations
from router.peers import Proxies, WrongTokens
from router.tenants.invitations import Invitations


class Sessions(Protocol):
    """The record of who signed in, and of sessions that were ended early, on any replica.

    The methods raise OSError while it is unreachable.
    """

    async def note_begin(self, actor: str, agency_id: str | None, address: str | None) -> None:
        """For the audit log. `actor` is the id of the token, or "admin"."""
        ...

    async def end(self, session_id: str, until: datetime) -> None:
        """`until`: when it would have expired; it is not asked about later."""
        ...

    async def has_ended(self, session_id: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """`open_api` returns the API as one page uses it. `providers` are the voice providers. `public_url` has no
    trailing slash, but may have a path. `waits`: whether work outside waits until the operator has decided on the public
    address. `sends_mail`: whether the service has a mail server.
    """

    open_api: Callable[[], ASGIApp]
    providers: Declarations
    keyring: Keyring
    sessions: Sessions
    proxies: Proxies
    confirmations: Confirmations
    invitations: Invitations
    wrong_tokens: WrongTokens
    public_url: str
    clock: Clock
    waits: Callable[[], bool] = bool
    sends_mail: bool = True

    @property
    def kinds(self) -> Kinds:
        return kinds_of(self.providers)

    @property
    def home(self) -> str:
        """The path of the console as browsers know it."""
        return f"{urlsplit(self.public_url).path}/console"

    @property
    def origin(self) -> str:
        parts = urlsplit(self.public_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def secure(self) -> bool:
        return self.public_url.startswith("https://")
