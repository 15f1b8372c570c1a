"""Bland: all that is particular to it. Assistants are settings of its numbers there, not things of their own."""

from __future__ import annotations

from typing import Final

from adapters.bland.calls import Calls
from adapters.http import Http

__all__ = ["Bland"]


class Bland(Calls):
    """Bland behind the protocols of `adapters.base` and `adapters.portable`."""

    name: Final = "bland"

    def __init__(self, http: Http, base_url: str, sip: str) -> None:
        """`sip` is host, port and parameters of Bland's SIP edge, as in `us2.sip.bland.ai:5061;transport=tls`."""
        super().__init__(http, base_url, sip)
