"""All that is particular to Retell.

`calls` has what happens while a caller waits, `webhooks` what Retell tells us and asks, `api` how it is spoken to.
"""

from __future__ import annotations

from adapters.retell.calls import RetellCalls

__all__ = ["Retell"]


class Retell(RetellCalls):
    """Takes a call that has an assistant (an agent at Retell); a number needs no registration."""
