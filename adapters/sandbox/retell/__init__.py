"""Stand-in for Retell's API; each module has a part of it."""

from __future__ import annotations

from adapters.sandbox.retell.api import Retell
from adapters.sandbox.retell.calls import SIP_HOST
from adapters.sandbox.retell.org import RetellOrg

__all__ = ["SIP_HOST", "Retell", "RetellOrg"]
