"""The carrier and the sandbox of the providers, over HTTP."""

from __future__ import annotations

import pytest

from adapters.sandbox.carrier import Anybody, SandboxControl, SandboxError, Script
from adapters.sandbox.carrier.far_end import NumberAddresses
from crypto.secret import Secret

pytestmark = pytest.mark.anyio


@pytest.fixture
def control(box, client):
    return SandboxControl(box.url, client)


async def test_an_unknown_address_is_rejected(control):
    verdict = await control.leg("sip", "sip:nobody@sip.retellai.com;transport=tcp", {})
    assert verdict.result == "rejected"
    assert verdict.sip_code >= 400
    assert verdict.reason


async def test_a_providers_number_is_known_and_a_persons_is_not(control, world):
    assert (await control.leg("number", world.bland.registration, {})).provider == "bland"
    assert (await control.leg("number", "+15002220000", {})).provider is None


async def test_faults_are_set_and_cleared(control, box):
    await control.set_faults({"vapi": "503"})
    assert [(provider, fault.name) for provider, fault in box.state.faults] == [("vapi", "503")]
    await control.clear_faults()
    assert list(box.state.faults) == []


async def test_a_fault_that_does_not_exist_is_refused_with_the_names_of_those_that_do(control):
    with pytest.raises(SandboxError, match=r"no such fault.*503"):
        await control.set_faults({"vapi": "sulking"})


async def test_what_a_number_is_set_to_is_read_from_the_carriers_api(control, box, world):
    account = box.state.twilio.accounts[world.account_sid]
    number = next(each for each in account.numbers.values() if each["phone_number"] == world.numbers[0])
    number |= {"voice_url": "https://a.example/v", "voice_fallback_url": "https://b.example/f", "status_callback": ""}
    found = await control.find_number(world.account_sid, Secret(world.auth_token), world.numbers[0])
    assert found == NumberAddresses("https://a.example/v", "https://b.example/f", "")
    assert await control.find_number(world.account_sid, Secret(world.auth_token), "+15559999999") is None


async def test_a_recording_can_be_fetched_from_the_carriers_api(control, box, world, router, calls):
    router.serve("/voice", '<Record action="/done"/>')
    router.serve("/done", "")
    timeline = await calls.place(far_end=_Kept(control, world.account_sid))
    assert timeline.recordings[0] in box.state.twilio.accounts[world.account_sid].recordings


class _Kept(Anybody):
    """Files recordings under the sandbox's account."""

    def __init__(self, control, account_sid):
        self.control = control
        self.account_sid = account_sid

    async def keep_recording(self, _account_sid, call_sid, recording_sid, seconds):
        await self.control.keep_recording(self.account_sid, call_sid, recording_sid, seconds)


async def test_a_sandbox_that_is_not_there_is_named(client):
    with pytest.raises(SandboxError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        await SandboxControl("http://127.0.0.1:9", client).clear_faults()


async def test_the_sandbox_decides_who_answers_a_leg(control, world, router, calls):
    router.serve("/voice", f'<Dial action="/after"><Number>{world.bland.registration}</Number></Dial>')
    router.serve("/after", "<Hangup/>")
    timeline = await calls.place(Script(owner="no-answer"), far_end=control)
    assert (timeline.answered_by, timeline.provider) == ("ai", "bland")
