"""Stand-in for Bland's API; each module has a part of it."""

from __future__ import annotations

from adapters.sandbox.bland.api import Bland
from adapters.sandbox.bland.calls import SIP_HOSTS
from adapters.sandbox.bland.org import BlandOrg

__all__ = ["SIP_HOSTS", "Bland", "BlandOrg"]
