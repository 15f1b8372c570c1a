"""All that is particular to Bland, where assistants are settings of numbers and not things of their own.

`calls` has what happens while a caller waits and `webhooks` what Bland tells us; `assistants` (with `settings`, `tools`
and `parts`) what a portable assistant becomes there; `numbers` the registrations and purchases; `inbound` is about one
number's settings, `api` how Bland is spoken to.
"""

from __future__ import annotations

from typing import Final

from adapters.bland.assistants import Assistants
from adapters.bland.calls import Calls
from adapters.bland.numbers import Numbers
from adapters.bland.settings import KNOWLEDGE_PLACE, KnowledgePlace
from adapters.http import Http

__all__ = ["Bland"]


class Bland(Calls, Assistants, Numbers):
    """Bland behind the protocols of `adapters.base` and `adapters.portable`."""

    name: Final = "bland"

    def __init__(self, http: Http, base_url: str, sip: str, knowledge: KnowledgePlace = KNOWLEDGE_PLACE) -> None:
        """`sip` is host, port and parameters of Bland's SIP edge, as in `us2.sip.bland.ai:5061;transport=tls`."""
        super().__init__(http, base_url)
        self._sip = sip
        self._knowledge = knowledge
