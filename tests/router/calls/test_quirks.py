"""The ladder with each of Twilio's open questions answered the other way: the caller ends up in the same place.

Each switch is tried on the calls on which Twilio would behave differently, and a few together. Any of them together
is tests/router/calls/test_life_of_a_call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.sandbox.carrier import EACH_QUIRK, Quirks, Script
from tests.support.provider_reports import reporting
from tests.support.signed_requests import new_call_sid
from tests.support.world import CALLER, PROVIDERS, World

pytestmark = pytest.mark.anyio

OWNER_AFTERWARDS = {"on_failure": "ring_through"}
OWNER_ONLY = {"mode": "ring_through"}
OWNER_FIRST = {"mode": "owner_first"}


@dataclass(frozen=True)
class Scenario:
    """A call, and where it must end: for the carrier, in our records, and after how often asking each provider."""

    script: Script
    answered_by: str
    outcome: str
    provider: str | None = None
    providers: tuple[str, ...] = ("vapi",)
    asked: tuple[str, ...] = ()
    routing: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    from_: str | None = CALLER
    broken: str | None = None  # a provider that answers every request with 503
    fault: bool = False  # the provider says that the conversation ended by its own fault


SCENARIOS = {
    "a stream takes the call": Scenario(Script(), "ai", "ai", "vapi", asked=("vapi",)),
    "a SIP leg takes the call": Scenario(Script(), "ai", "ai", "retell", ("retell",), ("retell",)),
    "a number takes the call": Scenario(
        Script(), "ai", "ai", "bland", ("bland",), ("bland",), settings={"bland_mode": "number"}
    ),
    "a withheld caller reaches the AI": Scenario(Script(), "ai", "ai", "retell", ("retell",), ("retell",), from_=None),
    "a provider refuses": Scenario(
        Script(), "ai", "ai", "bland", ("retell", "bland"), ("retell", "bland"), broken="retell"
    ),
    "a stream never starts": Scenario(
        Script(ai=("never-starts", "answers")), "ai", "ai", "retell", ("vapi", "retell"), ("vapi", "retell")
    ),
    "a stream closes at once": Scenario(
        Script(ai=("closes", "answers")), "ai", "ai", "bland", ("vapi", "bland"), ("vapi", "bland")
    ),
    "a SIP leg closes at once": Scenario(
        Script(ai=("closes", "answers")), "ai", "ai", "vapi", ("retell", "vapi"), ("retell", "vapi")
    ),
    "a SIP leg is busy, the owner is there": Scenario(
        Script(ai="busy"), "owner", "owner", None, ("retell",), ("retell",), OWNER_AFTERWARDS
    ),
    "every AI fails": Scenario(Script(ai="fails"), "voicemail", "voicemail", None, PROVIDERS, PROVIDERS),
    "the AI breaks down in the conversation": Scenario(
        Script(), "owner", "owner", None, ("retell", "vapi"), ("retell",), OWNER_AFTERWARDS, fault=True
    ),
    "the caller hangs up on a stream": Scenario(
        Script(caller="hangs-up-during-ai"), "ai", "ai", "vapi", ("vapi", "retell"), ("vapi",)
    ),
    "the caller hangs up on a SIP leg": Scenario(
        Script(caller="hangs-up-during-ai"), "ai", "ai", "retell", ("retell", "vapi"), ("retell",)
    ),
    "the caller hangs up before the stream is there": Scenario(
        Script(caller="hangs-up-while-ringing"), "abandoned", "abandoned", None, ("vapi", "retell"), ("vapi",)
    ),
    "the caller hangs up while the SIP leg rings": Scenario(
        Script(caller="hangs-up-while-ringing"), "abandoned", "abandoned", None, ("bland", "vapi"), ("bland",)
    ),
    "the caller hangs up while the owner's phone rings": Scenario(
        Script(caller="hangs-up-while-ringing"), "abandoned", "abandoned", routing=OWNER_FIRST
    ),
    "the owner accepts": Scenario(Script(), "owner", "owner", routing=OWNER_ONLY),
    "the owner accepts without screening": Scenario(Script(), "owner", "owner", routing=OWNER_ONLY | {"screen": False}),
    "the owner's mailbox answers": Scenario(Script(owner="mailbox"), "voicemail", "voicemail", routing=OWNER_ONLY),
    "the owner ignores it, the AI takes it": Scenario(
        Script(owner="ignores"), "ai", "ai", "vapi", asked=("vapi",), routing=OWNER_FIRST
    ),
    "a withheld caller is not taken by the owner": Scenario(
        Script(owner="declines"), "voicemail", "voicemail", routing=OWNER_ONLY, from_=None
    ),
    "the owner's phone sends the call back": Scenario(
        Script(owner="forwards-back"), "voicemail", "voicemail", routing=OWNER_ONLY
    ),
    "the owner's phone sends the call back and does not say so": Scenario(
        Script(owner="forwards-back", forwarded_from=False), "voicemail", "voicemail", routing=OWNER_ONLY
    ),
    "the caller ends the message with a key": Scenario(
        Script(message_ends_with="key"), "voicemail", "voicemail", routing={"mode": "voicemail"}
    ),
    "the caller says nothing to the voicemail": Scenario(
        Script(voicemail="silent"), "voicemail", "abandoned", routing={"mode": "voicemail"}
    ),
}


STREAMS = (
    "a stream takes the call",
    "a stream never starts",
    "a stream closes at once",
    "the caller hangs up on a stream",
    "the caller hangs up before the stream is there",
)
UNANSWERED = (
    "the caller hangs up before the stream is there",
    "the caller hangs up while the SIP leg rings",
    "the caller hangs up while the owner's phone rings",
)
SCREENED_OUT = ("the owner's mailbox answers", "a withheld caller is not taken by the owner")
WITHHELD = ("a withheld caller reaches the AI", "a withheld caller is not taken by the owner")
RECORDED = (*SCREENED_OUT, "every AI fails", "the caller ends the message with a key")

# The calls on which a switch makes a difference; those of a REST update are tests/router/calls/test_transfer's.
DIFFERENT: Mapping[str, Iterable[str]] = {
    "as expected": SCENARIOS,
    "no stream callbacks": STREAMS,
    "unbridged is in-progress": (
        *SCREENED_OUT,
        "a SIP leg is busy, the owner is there",
        "every AI fails",
        "the owner ignores it, the AI takes it",
    ),
    "screened out is no-answer": SCREENED_OUT,
    "no DialBridged": (
        *SCREENED_OUT,
        "a SIP leg takes the call",
        "a number takes the call",
        "a SIP leg closes at once",
        "the owner accepts",
        "the owner accepts without screening",
    ),
    "no dial action after a hang-up": (*UNANSWERED[1:], "the caller hangs up on a SIP leg"),
    "no connect action after a hang-up": ("the caller hangs up on a stream", UNANSWERED[0]),
    "abandoned is canceled": UNANSWERED,
    "abandoned is completed": UNANSWERED,
    "withheld is +266696687": WITHHELD,
    "withheld is restricted": WITHHELD,
    "withheld is empty": WITHHELD,
    "standard port signed": ("a stream takes the call",),
    "everything twice": SCENARIOS,
    "everything three times at once": (*STREAMS[:2], *SCREENED_OUT, "a SIP leg takes the call", "the owner accepts"),
    "recording told after the end, twice": (*RECORDED, "the caller says nothing to the voicemail"),
}
TOGETHER = {
    "no DialBridged, screened out is no-answer": (
        Quirks(dial_bridged=False, screened_out_status="no-answer"),
        SCREENED_OUT,
    ),
    "no DialBridged, unbridged is in-progress": (
        Quirks(dial_bridged=False, unbridged_status="in-progress"),
        ("every AI fails", "the owner's mailbox answers"),
    ),
    "no stream callbacks, no connect action after a hang-up": (
        Quirks(stream_callbacks=False, connect_action_after_hangup=False),
        ("the caller hangs up on a stream",),
    ),
    "everything twice, recording told after the end, twice": (
        Quirks(copies=2, recording_callback="after-end", recording_callback_copies=2),
        RECORDED,
    ),
}
CELLS = [
    pytest.param(SCENARIOS[scenario], quirks, id=f"{scenario}-{name}")
    for name, (quirks, scenarios) in {
        **{name: (EACH_QUIRK[name], scenarios) for name, scenarios in DIFFERENT.items()},
        **TOGETHER,
    }.items()
    for scenario in scenarios
]


@pytest.mark.parametrize(("scenario", "quirks"), CELLS)
async def test_the_caller_ends_up_where_the_ladder_says(clean_world: World, scenario: Scenario, quirks: Quirks):
    world = clean_world
    client = await world.add_client(
        providers=scenario.providers, routing=dict(scenario.routing), **dict(scenario.settings)
    )
    if scenario.broken is not None:
        world.sandbox.state.faults.set(scenario.broken, "503")
    call_sid = new_call_sid()
    timeline = await world.call(
        client,
        scenario.script,
        from_=scenario.from_,
        quirks=quirks,
        call_sid=call_sid,
        meanwhile=reporting(world, client, call_sid, fault=scenario.fault),
    )
    assert (timeline.answered_by, timeline.provider) == (scenario.answered_by, scenario.provider)
    assert timeline.failures == []
    asked = Counter(name for name in scenario.providers for _ in range(world.asked_with(client, name)))
    assert asked == Counter(scenario.asked)
    call = await world.find_ended_call(timeline)
    assert call["outcome"] == scenario.outcome
    assert call["ended_at"] is not None
    events = Counter(event for event, _, _ in await world.events(timeline))
    assert events["call.ended"] == 1
    assert events["voicemail.received"] == (scenario.outcome == "voicemail")
