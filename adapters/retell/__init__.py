"""Retell: all that is particular to it.

`calls` has what happens while a caller waits, `webhooks` what Retell tells us and asks. An assistant is an agent with
an LLM and perhaps a knowledge base: `definition` writes them, `assistants` keeps our copies, `links` looks after agents
of others. `numbers` are those that Retell sells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from adapters.http import Http
from adapters.retell.api import Api
from adapters.retell.assistants import Assistants
from adapters.retell.calls import Calls
from adapters.retell.links import Links
from adapters.retell.numbers import Numbers
from adapters.retell.webhooks import Webhooks

__all__ = ["Retell"]


class Retell(Calls, Webhooks, Assistants, Links, Numbers):
    """All of Retell: VoiceProvider, AssistantHost, NumberHost and LineTeller."""

    def __init__(
        self, http: Http, base_url: str, sip: str, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`sip` is host and parameters of Retell's SIP server, as in `sip.retellai.com;transport=tcp`. `pause` waits
        that many seconds for what Retell does in its own time.
        """
        self._api = Api(http, base_url.rstrip("/"), pause)
        self._sip = sip
