"""What follows an AI's leg: the next rung where it did not take the call, nothing after a conversation."""

from __future__ import annotations

import asyncio
from itertools import chain, repeat

import pytest

from adapters.sandbox.carrier import Script, Timeline
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall
from tests.support.provider_reports import report_end, reporting
from tests.support.signed_requests import new_call_sid
from tests.support.waiting import wait_until
from tests.support.world import PROVIDERS, Client, World

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

SIP = ("retell", "bland")


@pytest.fixture
def world(clean_world: World) -> World:
    return clean_world


async def call_reported(
    world: World, client: Client, script: Script | None = None, *, fault: bool = False, **rest
) -> Timeline:
    """A call whose provider says at once why it ended."""
    call_sid = new_call_sid()
    script = script or Script()
    meanwhile = reporting(world, client, call_sid, after=script.ai_talks, fault=fault)
    return await world.call(client, script, call_sid=call_sid, meanwhile=meanwhile, **rest)


def placed_legs(timeline: Timeline) -> list[tuple[str | None, str]]:
    return [(leg.provider or leg.who, leg.status) for leg in timeline.legs]


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [("busy", "busy", "at_capacity"), ("no-answer", "no-answer", "timeout"), ("fails", "failed", "unreachable")],
)
@pytest.mark.parametrize("provider", SIP)
async def test_an_ai_that_does_not_pick_up_is_followed_by_the_next(world: World, provider, outcome, status, reason):
    after = next(name for name in SIP if name != provider)
    client = await world.add_client(providers=[provider, after])
    timeline = await call_reported(world, client, Script(ai=(outcome, "answers")))
    assert placed_legs(timeline) == [(provider, status), (after, "answered")]
    assert ("handoff.failed", provider, reason) in await world.events(timeline)
    assert (await world.find_call(timeline))["provider"] == after
    assert world.asked(provider) == world.asked(after) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_ai_that_is_gone_at_once_is_followed_by_the_next(world: World, provider):
    after = next(name for name in PROVIDERS if name != provider)
    client = await world.add_client(providers=[provider, after])
    timeline = await call_reported(world, client, Script(ai=("closes", "answers")))
    assert (timeline.answered_by, timeline.provider) == ("ai", after)
    assert ("handoff.failed", provider, "provider_error") in await world.events(timeline)
    assert (await world.find_call(timeline))["outcome"] == "ai"


@pytest.mark.parametrize("outcome", ["never-starts", "fails", "closes"])
async def test_a_stream_that_comes_to_nothing_leads_to_the_owner_and_then_to_a_message(world: World, outcome):
    client = await world.add_client(providers=["vapi"], routing={"on_failure": "ring_through"})
    timeline = await world.call(client, Script(ai=outcome, owner="no-answer"))
    assert timeline.answered_by == "voicemail"
    assert [leg.who for leg in timeline.legs] == ["ai", "owner"]
    assert (await world.find_call(timeline))["outcome"] == "voicemail"
    assert world.asked("vapi") == 1


@pytest.mark.parametrize("seconds", [3, 14])
async def test_a_stream_that_never_starts_is_given_up_without_any_callback_too(world: World, seconds: float):
    client = await world.add_client(providers=["vapi", "retell"])
    script = Script(ai=("never-starts", "answers"), stream_given_up_after=seconds)
    timeline = await call_reported(world, client, script)
    assert placed_legs(timeline) == [("vapi", "no-answer"), ("retell", "answered")]
    assert ("handoff.failed", "vapi", "unreachable") in await world.events(timeline)


async def test_several_ais_that_fail_one_after_the_other_each_lead_to_the_next(world: World):
    client = await world.add_client(providers=PROVIDERS, routing={"on_failure": "ring_through"})
    timeline = await world.call(client, Script(ai=("closes", "busy", "fails"), owner="accepts"))
    statuses = chain(["answered", "busy"], repeat("failed"))
    assert placed_legs(timeline) == [*zip(PROVIDERS, statuses, strict=False), ("owner", "answered")]
    assert timeline.answered_by == "owner"
    assert (await world.find_call(timeline))["outcome"] == "owner"
    assert [world.asked(provider) for provider in PROVIDERS] == [1] * len(PROVIDERS)


async def test_an_ai_that_fails_on_the_line_is_followed_by_one_that_refuses_and_one_that_answers(world: World):
    client = await world.add_client(providers=PROVIDERS)
    world.sandbox.state.faults.set("retell", "503")
    timeline = await call_reported(world, client, Script(ai=("fails", "answers")))
    assert placed_legs(timeline) == [("vapi", "failed"), ("bland", "answered")]
    assert world.asked("retell") == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_after_a_conversation_the_call_is_over_and_no_other_provider_is_asked(world: World, provider):
    others = [name for name in PROVIDERS if name != provider]
    client = await world.add_client(providers=[provider, *others], routing={"on_failure": "ring_through"})
    timeline = await call_reported(world, client)
    assert placed_legs(timeline) == [(provider, "answered")]
    assert [world.asked(name) for name in others] == [0] * len(others)
    assert timeline.documents[-1].count("Hangup") == 1
    call = await world.find_call(timeline)
    assert (call["outcome"], call["answered_by"], call["provider"]) == ("ai", "ai", provider)


async def test_after_a_conversation_no_other_provider_is_asked_even_without_a_report(world: World):
    client = await world.add_client(providers=["vapi", "retell"])
    timeline = await world.call(client)
    assert placed_legs(timeline) == [("vapi", "answered")]
    assert (await world.find_call(timeline))["outcome"] == "ai"
    assert world.asked("retell") == 0


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_caller_who_hangs_up_on_the_ai_is_left_alone(world: World, provider):
    others = [name for name in PROVIDERS if name != provider]
    client = await world.add_client(providers=[provider, *others], routing={"on_failure": "ring_through"})
    timeline = await world.call(client, Script(caller="hangs-up-during-ai"))
    assert placed_legs(timeline) == [(provider, "answered")]
    assert [world.asked(name) for name in others] == [0] * len(others)
    call = await world.find_ended_call(timeline)
    assert (call["outcome"], call["answered_by"]) == ("ai", "ai")
    assert call["ended_at"] is not None


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_caller_who_hangs_up_before_the_ai_answers_is_left_alone(world: World, provider):
    others = [name for name in PROVIDERS if name != provider]
    client = await world.add_client(providers=[provider, *others], routing={"on_failure": "ring_through"})
    timeline = await world.call(client, Script(caller="hangs-up-while-ringing"))
    assert timeline.answered_by == "abandoned"
    assert [world.asked(name) for name in others] == [0] * len(others)
    assert len(timeline.legs) == 1
    call = await world.find_call(timeline)
    assert (call["outcome"], call["answered_by"], call["answered_at"]) == ("abandoned", None, None)
    events = [event for event, _, _ in await world.events(timeline)]
    assert events.count("call.ended") == 1
    assert "call.fell_back" not in events


@pytest.mark.parametrize(("on_failure", "reached"), [("ring_through", "owner"), ("voicemail", "voicemail")])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_ai_that_broke_down_in_the_conversation_is_followed_by_a_person_and_no_other_ai(
    world: World, provider, on_failure, reached
):
    others = [name for name in PROVIDERS if name != provider]
    client = await world.add_client(providers=[provider, *others], routing={"on_failure": on_failure})
    timeline = await call_reported(world, client, fault=True)
    assert timeline.answered_by == reached
    assert [world.asked(name) for name in others] == [0] * len(others)
    assert (await world.find_call(timeline))["outcome"] == reached
    assert ("ai.failed", provider) in [(event, name) for event, name, _ in await world.events(timeline)]


async def test_after_a_long_conversation_that_broke_down_a_person_is_rung_and_may_talk_as_long(world: World):
    """Neither the ring budget nor the AI's own time limit counts any more."""
    assistant = {"prompt": "You answer.", "max_seconds": 300}
    client = await world.add_client(providers=["vapi"], routing={"on_failure": "ring_through"}, assistant=assistant)
    timeline = await call_reported(world, client, Script(ai_talks=280, owner="no-answer"), fault=True)
    assert placed_legs(timeline) == [("vapi", "answered"), ("owner", "no-answer")]
    await wait_until(lambda: max(limits_in(world)) >= 280 + 4 * 3600)


def limits_in(world: World) -> list[int]:
    """The time limits that the carrier's API was given."""
    return [int(each.form()["TimeLimit"]) for each in world.sandbox.state.requests_to("twilio") if each.form()]


@pytest.mark.usefixtures("much_patience")
@pytest.mark.parametrize(("fault", "reached"), [(True, "owner"), (False, "ai")])
async def test_the_provider_s_word_counts_while_the_caller_waits_for_it(world: World, fault, reached):
    """It comes after Twilio has asked what to do, and before we have given up waiting for it."""
    client = await world.add_client(providers=["retell", "vapi"], routing={"on_failure": "ring_through"})
    call_sid = new_call_sid()

    async def is_asked() -> bool:
        return await world.db.fetchval(
            "SELECT true FROM call_steps WHERE call_sid = $1 AND step LIKE 'ai-%' AND answered_at IS NULL", call_sid
        )

    async def report() -> None:
        await wait_until(is_asked)
        await report_end(world, client, call_sid, fault=fault)

    timeline, _ = await asyncio.gather(world.call(client, call_sid=call_sid), report())
    assert timeline.answered_by == reached
    assert (await world.find_call(timeline))["outcome"] == reached
    assert world.asked("vapi") == 0


async def test_the_blame_of_one_provider_is_not_laid_on_the_next(world: World):
    """The first AI broke down at once and says so; the second one had a conversation."""
    client = await world.add_client(providers=["vapi", "retell"], routing={"on_failure": "ring_through"})
    call_sid = new_call_sid()

    async def meanwhile(seconds: float) -> None:
        if seconds in (1.5, 30):
            await report_end(world, client, call_sid, fault=seconds == 1.5)

    script = Script(ai=("never-starts", "answers"), stream_given_up_after=1.5)
    timeline = await world.call(client, script, call_sid=call_sid, meanwhile=meanwhile)
    assert (timeline.answered_by, timeline.provider) == ("ai", "retell")
    assert (await world.find_call(timeline))["outcome"] == "ai"


async def test_no_answer_is_noted_before_the_call_began(world: World):
    """Twilio rounds lengths up to whole seconds, and the time of the answer is reckoned from them."""
    client = await world.add_client(providers=["retell"])
    call = PostedCall(world, client)
    document = (await call.ring()).body.decode()
    talked = {"CallStatus": "completed", "DialCallStatus": "completed", "DialBridged": "true", "DialCallDuration": "6"}
    await call.go_on(document, **talked)
    row = await world.db.fetchrow("SELECT * FROM calls WHERE call_sid = $1", call.call_sid)
    assert (row["outcome"], row["answered_by"]) == ("ai", "ai")
    assert row["answered_at"] >= row["started_at"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_every_ai_leg_says_when_it_ends_at_the_latest(world: World, provider):
    """A stream has no such attribute; there the carrier is told to limit the call."""
    client = await world.add_client(providers=[provider], assistant={"prompt": "Hello", "max_seconds": 600})
    timeline = await call_reported(world, client)
    if "<Stream " in timeline.documents[0]:
        await wait_until(lambda: any(660 <= limit < 3600 for limit in limits_in(world)))
    else:
        assert timeline.documents[0].count('timeLimit="660"') == 1


async def test_a_stream_that_twilio_sets_no_limit_to_says_so_in_its_timeline(
    world: World, captured_events: CapturedEvents
):
    client = await world.add_client(providers=["vapi"])
    world.sandbox.state.faults.set("twilio", {"fault": "503", "operation": "all"})
    timeline = await call_reported(world, client)
    row = await world.db.fetchrow(
        "SELECT e.step FROM call_events e JOIN calls c ON c.id = e.call_id "
        "WHERE c.call_sid = $1 AND e.event = 'call.unlimited'",
        timeline.call_sid,
    )
    told = captured_events.only("call.unlimited")
    assert (told["agency_id"], told["step"]) == (client.agency_id, row["step"])


async def test_an_assistant_of_unknown_patience_is_cut_off_after_an_hour(world: World):
    client = await world.add_client(providers=["retell"])
    call_sid = new_call_sid()
    meanwhile = reporting(world, client, call_sid, after=3600)
    timeline = await world.call(client, Script(ai_talks=5000), call_sid=call_sid, meanwhile=meanwhile)
    assert 'timeLimit="3600"' in timeline.documents[0]
    assert timeline.legs[0].talk_seconds == 3600
