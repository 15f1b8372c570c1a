"""Any life that a call may have: whoever does what, whatever fails, however Twilio behaves.

Hypothesis makes up the people, the machines, the routing and Twilio's quirks; what must hold for all of them is
checked on the carrier's timeline, in our records, and in what the providers were asked.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.sandbox.carrier import Quirks, Script, Timeline
from adapters.sandbox.carrier.script import AiOutcome, CallerOutcome, OwnerOutcome, VoicemailOutcome
from tests.support.provider_reports import reporting
from tests.support.signed_requests import new_call_sid
from tests.support.world import CALLER, PROVIDERS, World

pytestmark = pytest.mark.anyio

FAULTS = ("401", "402", "429", "422", "503", "garbage", "reset")
TALK = 33  # seconds: unlike any other time that passes, so that it tells when a conversation ends
REAL_TALK = 5  # seconds: who is gone sooner did not take the call

scripts = st.builds(
    Script,
    ai=st.lists(st.sampled_from(get_args(AiOutcome)), min_size=1, max_size=3).map(tuple),
    owner=st.sampled_from(get_args(OwnerOutcome)),
    caller=st.sampled_from(get_args(CallerOutcome)),
    voicemail=st.sampled_from(get_args(VoicemailOutcome)),
    ai_rings=st.sampled_from([1, 6, 20]),
    ai_talks=st.just(TALK),
    owner_rings=st.sampled_from([2, 14, 30]),
    forwarded_from=st.booleans(),
    message_ends_with=st.sampled_from(["hang-up", "silence", "key"]),
)

# Left out is "completed" for a caller who was never answered: where Twilio also asks nothing after a hang-up, nobody
# could tell such a call from a conversation. Alone it is in the table of quirks.
quirks_of_twilio = st.builds(
    Quirks,
    stream_callbacks=st.booleans(),
    unbridged_status=st.sampled_from(["ringing", "in-progress"]),
    screened_out_status=st.sampled_from(["completed", "no-answer"]),
    dial_bridged=st.booleans(),
    dial_action_after_hangup=st.booleans(),
    connect_action_after_hangup=st.booleans(),
    abandoned_status=st.sampled_from(["no-answer", "canceled"]),
    withheld=st.sampled_from(["anonymous", "", "+266696687", "restricted"]),
    copies=st.sampled_from([1, 1, 2]),
    copies_at_once=st.booleans(),
    recording_callback=st.sampled_from(["before-end", "after-end"]),
    recording_callback_copies=st.integers(1, 2),
)

clients = st.fixed_dictionaries(
    {
        "providers": st.permutations(PROVIDERS).flatmap(
            lambda order: st.integers(0, len(order)).map(lambda many: tuple(order[:many]))
        ),
        "routing": st.fixed_dictionaries(
            {
                "mode": st.sampled_from(["ai", "owner_first", "ring_through", "voicemail"]),
                "on_failure": st.sampled_from(["ring_through", "voicemail"]),
                "ring_seconds": st.sampled_from([5, 15, 40]),
                "screen": st.just(True),  # without it, whoever picks up has the call, a mailbox too
            }
        ),
        "personal_phone": st.sampled_from([None, "+15005550123"]),
        "caller_id": st.sampled_from(["caller", "number"]),
        "bland_mode": st.sampled_from(["sip", "number"]),
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    settings_of_client=clients,
    script=scripts,
    quirks=quirks_of_twilio,
    from_=st.sampled_from([CALLER, None, "sip:alice@example.com"]),
    fault=st.booleans(),
    broken=st.dictionaries(st.sampled_from(PROVIDERS), st.sampled_from(FAULTS), max_size=2),
)
async def test_whatever_happens_the_call_ends_well(
    shared_world: World, settings_of_client: dict[str, Any], script: Script, quirks: Quirks, from_, fault, broken
):
    world = shared_world
    client = await world.add_client(**settings_of_client)
    world.sandbox.state.faults.clear()
    for provider, kind in broken.items():
        world.sandbox.state.faults.set(provider, kind)
    world.sandbox.state.requests.clear()
    call_sid = new_call_sid()
    # The carrier is strict: it raises for every document that Twilio could not execute as it is written.
    timeline = await world.call(
        client,
        script,
        from_=from_,
        quirks=quirks,
        call_sid=call_sid,
        meanwhile=reporting(world, client, call_sid, after=TALK, fault=fault),
    )
    assert timeline.failures == []
    assert all(request.status == 200 for request in timeline.requests)
    check_who_answered(timeline)
    check_asked_once(world)
    await check_record(world, timeline)


def check_who_answered(timeline: Timeline) -> None:
    assert timeline.answered_by in {"ai", "owner", "voicemail", "abandoned"}
    conversations = [leg for leg in timeline.legs if leg.who == "ai" and leg.talk_seconds >= REAL_TALK]
    assert len(conversations) <= 1


def check_asked_once(world: World) -> None:
    assert all(world.asked(provider) <= 1 for provider in PROVIDERS)


async def check_record(world: World, timeline: Timeline) -> None:
    call = await world.find_ended_call(timeline)
    assert call["outcome"] in outcomes_of(timeline), (call["outcome"], timeline.answered_by)
    assert call["ended_at"] is not None
    events = Counter(event for event, _, _ in await world.events(timeline))
    assert events["call.received"] == events["call.ended"] == 1
    kept = await world.db.fetchval("SELECT count(*) FROM voicemails WHERE call_id = $1", call["id"])
    assert kept == len(timeline.recordings)
    assert events["voicemail.received"] == kept


def outcomes_of(timeline: Timeline) -> set[str]:
    """What our records may say of a call that ended like this for the carrier."""
    if timeline.answered_by == "voicemail":
        return {"voicemail"} if timeline.recordings else {"abandoned"}
    if timeline.answered_by == "ai" and "Record" in timeline.documents[-1]:
        return {"abandoned"}  # the AI failed, and the caller left before the tone
    return {timeline.answered_by}
