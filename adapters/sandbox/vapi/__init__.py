"""Stand-in for Vapi's API; each module has a part of it."""

from __future__ import annotations

from adapters.sandbox.vapi.api import Vapi
from adapters.sandbox.vapi.calls import SIP_HOST
from adapters.sandbox.vapi.org import VapiOrg

__all__ = ["SIP_HOST", "Vapi", "VapiOrg"]
