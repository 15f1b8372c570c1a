"""A redirect to somebody else's server: its AI takes the caller, or the number's fallback is asked."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from adapters.sandbox.carrier import Anybody, LegVerdict, Script
from adapters.sandbox.legs import LegKind
from tests.support.scripted_router import NUMBER

pytestmark = pytest.mark.anyio

URL = "https://server.aws.dc8.bland.ai/incoming?encrypted_key=enc-1"


class Server(Anybody):
    """Somebody else's, with one verdict on each call; remembers what it was asked."""

    def __init__(self, verdict: LegVerdict) -> None:
        self.verdict = verdict
        self.asked: list[tuple[LegKind, str, str]] = []

    async def leg(self, kind: LegKind, address: str, parameters: Mapping[str, str]) -> LegVerdict:
        self.asked.append((kind, address, parameters.get("To", "")))
        return self.verdict


def answered() -> Server:
    return Server(LegVerdict("answered", 200, "bland", "", "b-1"))


def redirect(router, fragment: str = "#rt=8000&amp;tt=8000") -> None:
    router.serve("/voice", f"<Redirect method='POST'>{URL}{fragment}</Redirect>")
    router.serve("/fallback", "<Say>Sorry.</Say><Hangup/>")


async def test_the_servers_own_documents_run_and_nothing_of_ours_follows(router, calls):
    redirect(router)
    server = answered()
    timeline = await calls.place(Script(ai_talks=40), far_end=server, fallback_url=f"{router.url}/fallback")
    assert server.asked == [("redirect", URL, NUMBER)]
    assert (timeline.answered_by, timeline.provider, timeline.provider_call_id) == ("ai", "bland", "b-1")
    [leg] = timeline.legs
    assert (leg.kind, leg.status, leg.talk_seconds) == ("redirect", "answered", 40)
    assert [asked.path for asked in router.asked] == ["/voice"]
    assert (timeline.final_status, timeline.violations, timeline.failures) == ("completed", [], [])


@pytest.mark.parametrize(
    ("verdict", "ai", "code"),
    [
        (LegVerdict("rejected", 401, "bland", "the encrypted_key is unknown"), "answers", "11200"),
        (LegVerdict("rejected", 404, "bland"), "answers", "11200"),
        (LegVerdict("answered", 200, "bland"), "fails", "11200"),
        (LegVerdict("answered", 200, "bland"), "busy", "11200"),
        (LegVerdict("answered", 200, "bland"), "no-answer", "11205"),
    ],
)
async def test_a_server_that_fails_leads_to_the_fallback_with_its_address(router, calls, verdict, ai, code):
    redirect(router)
    timeline = await calls.place(Script(ai=ai), far_end=Server(verdict), fallback_url=f"{router.url}/fallback")
    [asked] = router.asked_at("/fallback")
    assert asked.signed
    assert (asked.form["ErrorCode"], asked.form["ErrorUrl"], asked.form["CallStatus"]) == (code, URL, "ringing")
    assert timeline.fallback_used
    assert timeline.answered_by == "spoken"
    assert [leg.status for leg in timeline.legs] == ["failed"]


@pytest.mark.parametrize(
    ("fragment", "seconds"), [("", 15), ("#rt=3000", 3), ("#tt=4000&amp;rt=9000", 4), ("#rc=0", 15)]
)
async def test_a_silent_server_is_waited_for_as_long_as_the_overrides_say(router, calls, fragment, seconds):
    redirect(router, fragment)
    timeline = await calls.place(Script(ai="no-answer"), far_end=answered(), fallback_url=f"{router.url}/fallback")
    assert timeline.ringing_seconds == seconds


async def test_without_a_fallback_the_caller_hears_an_error(router, calls):
    redirect(router)
    timeline = await calls.place(Script(ai="fails"), far_end=answered())
    assert timeline.answered_by == "application-error"


async def test_a_caller_who_hangs_up_meanwhile_is_gone(router, calls):
    redirect(router)
    timeline = await calls.place(Script(caller="hangs-up-while-ringing"), far_end=answered())
    assert (timeline.answered_by, timeline.final_status) == ("abandoned", "no-answer")


@pytest.mark.parametrize(
    "fragment", ["#rt=99", "#tt=15001", "#rt=x", "#timeout=5", "#rc=6", "#rp=3xx", "#e=mars", "#rt=-1", "#ct="]
)
async def test_overrides_that_twilio_does_not_know_are_complained_about(router, calls, fragment):
    router.serve("/voice", f"<Redirect>/next{fragment}</Redirect>")
    router.serve("/next", "<Hangup/>")
    timeline = await calls.place()
    assert len(timeline.violations) == 1


async def test_overrides_that_it_knows_are_not(router, calls):
    overrides = "#ct=100&amp;rt=15000&amp;tt=15000&amp;rc=5&amp;rp=4xx,ct&amp;sni=y&amp;e=ashburn,dublin"
    router.serve("/voice", f"<Redirect>/next{overrides}</Redirect>")
    router.serve("/next", "<Hangup/>")
    assert (await calls.place()).violations == []
