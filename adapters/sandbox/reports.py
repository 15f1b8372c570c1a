"""Finds how a simulated provider reports a call of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.sandbox.api import Json
from adapters.sandbox.bland import reports as bland
from adapters.sandbox.elevenlabs import reports as elevenlabs
from adapters.sandbox.retell import reports as retell
from adapters.sandbox.talks import Ended
from adapters.sandbox.vapi import reports as vapi

REPORTERS: Final = {one.provider: one for one in (vapi.REPORTER, retell.REPORTER, bland.REPORTER, elevenlabs.REPORTER)}


def reports_of(ended: Ended) -> Sequence[Json]:
    """What the provider posts when the call is over, oldest first; nothing for a provider that is not simulated."""
    reporter = REPORTERS.get(ended.provider)
    return [] if reporter is None else reporter.report(ended)
