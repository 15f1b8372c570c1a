"""The edge: HTTP as it arrives, before any application sees it. What one client can send, hold open or leave unread has
a bound here, for every command that listens.
"""

from __future__ import annotations

from router.edge.limits import Limits, raise_descriptor_limit
from router.edge.serving import bounded_config

__all__ = ["Limits", "bounded_config", "raise_descriptor_limit"]
