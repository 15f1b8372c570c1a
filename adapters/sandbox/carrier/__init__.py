"""A simulated carrier: posts an inbound call to a running router as Twilio does and executes the TwiML it gets.

It is strict where Twilio is lenient, scripted where people decide, and never sleeps by itself.
"""

from __future__ import annotations

from adapters.sandbox.carrier.carrier import Carrier
from adapters.sandbox.carrier.far_end import Anybody, FarEnd, SandboxControl, SandboxError, Standing
from adapters.sandbox.carrier.script import EACH_QUIRK, Quirks, Script, SharedKey
from adapters.sandbox.carrier.timeline import CarrierViolation, Entry, Leg, Request, Timeline
from adapters.sandbox.legs import LegVerdict

__all__ = [
    "EACH_QUIRK",
    "Anybody",
    "Carrier",
    "CarrierViolation",
    "Entry",
    "FarEnd",
    "Leg",
    "LegVerdict",
    "Quirks",
    "Request",
    "SandboxControl",
    "SandboxError",
    "Script",
    "SharedKey",
    "Standing",
    "Timeline",
]
