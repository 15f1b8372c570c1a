from __future__ import annotations

import io
import wave

import pytest

from adapters.sandbox.world import ACCOUNT_SID, AUTH_TOKEN, NUMBERS

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("world")]

ROOT = f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}"
AUTH = (ACCOUNT_SID, AUTH_TOKEN)
RECORDING = "RE" + "1" * 32
CALL = "CA" + "2" * 32


async def find(client, e164: str) -> dict:
    page = await client.get(f"{ROOT}/IncomingPhoneNumbers.json", params={"PhoneNumber": e164}, auth=AUTH)
    return page.json()["incoming_phone_numbers"][0]


async def test_an_account_opens_to_its_token_only(client):
    assert (await client.get(f"{ROOT}.json", auth=AUTH)).json()["status"] == "active"
    for auth in ((ACCOUNT_SID, "wrong"), ("AC" + "9" * 32, AUTH_TOKEN), None):
        response = await client.get(f"{ROOT}.json", auth=auth)
        assert (response.status_code, response.json()["code"]) == (401, 20003)


async def test_a_parent_may_use_its_subaccount_but_not_a_strangers(client, box):
    child = box.state.twilio.add_account(parent=ACCOUNT_SID)
    stranger = box.state.twilio.add_account()

    assert (await client.get(f"/twilio/2010-04-01/Accounts/{child.sid}.json", auth=AUTH)).status_code == 200
    assert (await client.get(f"/twilio/2010-04-01/Accounts/{stranger.sid}.json", auth=AUTH)).status_code == 401
    assert (await client.get(f"{ROOT}.json", auth=(child.sid, child.auth_token))).status_code == 401


async def test_an_api_key_opens_its_account(client, box):
    box.state.twilio.accounts[ACCOUNT_SID].api_keys["SK1"] = "hush"

    assert (await client.get(f"{ROOT}.json", auth=("SK1", "hush"))).status_code == 200
    assert (await client.get(f"{ROOT}.json", auth=("SK1", "loud"))).status_code == 401


async def test_a_suspended_account_says_so_and_does_nothing_else(client, box):
    box.state.twilio.accounts[ACCOUNT_SID].status = "suspended"

    assert (await client.get(f"{ROOT}.json", auth=AUTH)).json()["status"] == "suspended"
    assert (await client.get(f"{ROOT}/IncomingPhoneNumbers.json", auth=AUTH)).status_code == 401


async def test_a_number_is_found_and_pointed_elsewhere(client):
    number = await find(client, NUMBERS[1])
    form = {"VoiceUrl": "https://router.example/voice", "VoiceFallbackUrl": "https://router.example/f", "TrunkSid": ""}

    changed = await client.post(f"{ROOT}/IncomingPhoneNumbers/{number['sid']}.json", data=form, auth=AUTH)

    assert changed.status_code == 200
    found = await find(client, NUMBERS[1])
    assert (found["voice_url"], found["voice_fallback_url"]) == (form["VoiceUrl"], form["VoiceFallbackUrl"])
    assert found["trunk_sid"] is None


async def test_a_number_that_no_account_has_is_an_empty_page(client):
    page = await client.get(f"{ROOT}/IncomingPhoneNumbers.json", params={"PhoneNumber": "+15005550111"}, auth=AUTH)

    assert page.json()["incoming_phone_numbers"] == []


async def test_numbers_come_in_pages(client):
    first = (await client.get(f"{ROOT}/IncomingPhoneNumbers.json", params={"PageSize": 2}, auth=AUTH)).json()
    second = (await client.get(f"/twilio{first['next_page_uri']}", auth=AUTH)).json()

    listed = [number["phone_number"] for page in (first, second) for number in page["incoming_phone_numbers"]]
    assert listed == list(NUMBERS)
    assert second["next_page_uri"] is None


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"VoiceFallbackUrl": "https://router.example/f"}, 21405),
        ({"VoiceUrl": "router.example"}, 21402),
        ({"VoiceUrl": "https:///voice"}, 21402),
        ({"VoiceUrl": "https://my_router.example/voice"}, 21402),
        ({"StatusCallback": "https://router.example/a b"}, 21402),
        ({"StatusCallback": f"https://router.example/{'x' * 4000}"}, 21609),
        ({"VoiceUrl": "https://router.example/", "VoiceMethod": "PUT"}, 21403),
    ],
)
async def test_a_number_is_not_set_up_wrongly(client, form, code):
    number = await find(client, NUMBERS[0])

    refused = await client.post(f"{ROOT}/IncomingPhoneNumbers/{number['sid']}.json", data=form, auth=AUTH)

    assert (refused.status_code, refused.json()["code"]) == (400, code)


async def test_a_number_is_bought_once_and_released(client):
    form = {"PhoneNumber": "+14155550144", "VoiceUrl": "https://router.example/voice"}
    bought = await client.post(f"{ROOT}/IncomingPhoneNumbers.json", data=form, auth=AUTH)
    again = await client.post(f"{ROOT}/IncomingPhoneNumbers.json", data=form, auth=AUTH)
    address = f"{ROOT}/IncomingPhoneNumbers/{bought.json()['sid']}.json"

    assert (bought.status_code, again.json()["code"]) == (201, 21422)
    assert (await find(client, "+14155550144"))["voice_url"] == "https://router.example/voice"
    assert (await client.delete(address, auth=AUTH)).status_code == 204
    gone = await client.get(address, auth=AUTH)
    assert (gone.status_code, gone.json()["code"]) == (404, 20404)


@pytest.fixture
def live(box, world):
    """A call that the simulated carrier has on the line."""
    call = box.state.twilio.keep_call(world.account_sid, CALL, "+14155550123", NUMBERS[0], None)
    call.stands("in-progress", 3, 1)
    return call


async def test_updates_of_a_live_call_reach_the_carrier_once_and_in_order(client, live):
    forms = [{"TimeLimit": "7200"}, {"Url": "https://router.example/transfer"}]
    for form in forms:
        assert (await client.post(f"{ROOT}/Calls/{CALL}.json", data=form, auth=AUTH)).status_code == 200
    standing = {
        "account_sid": ACCOUNT_SID,
        "call_sid": CALL,
        "caller": live.caller,
        "to": live.to,
        "status": "in-progress",
        "seconds": 4,
    }

    assert (await client.put("/control/calls", json=standing)).json() == {"updates": forms}
    assert (await client.put("/control/calls", json=standing)).json() == {"updates": []}
    assert live.updates == forms


async def test_a_call_is_shown_as_the_carrier_says_it_stands(client, live, clock):
    shown = (await client.get(f"{ROOT}/Calls/{CALL}.json", auth=AUTH)).json()
    assert (shown["status"], shown["end_time"], shown["duration"]) == ("in-progress", None, None)
    assert (shown["from"], shown["to"], shown["direction"]) == ("+14155550123", NUMBERS[0], "inbound")

    live.stands("completed", 63, 61)

    shown = (await client.get(f"{ROOT}/Calls/{CALL}.json", auth=AUTH)).json()
    assert (shown["status"], shown["duration"]) == ("completed", "61")
    assert shown["start_time"].endswith("12:00:00 +0000")
    assert shown["end_time"].endswith("12:01:03 +0000")
    assert clock.now.hour == 12


async def test_calls_are_listed_by_number_and_day(client, box, live, clock):
    clock.advance(days=1)
    later = box.state.twilio.keep_call(ACCOUNT_SID, "CA" + "3" * 32, "anonymous", NUMBERS[1], None)

    async def listed(**query: str) -> list[str]:
        page = await client.get(f"{ROOT}/Calls.json", params=query, auth=AUTH)
        return [call["sid"] for call in page.json()["calls"]]

    assert await listed() == [later.sid, live.sid]
    assert await listed(To=NUMBERS[0]) == [live.sid]
    assert await listed(Status="ringing") == [later.sid]
    assert await listed(**{"StartTime>": "2026-11-24"}) == [later.sid]
    assert await listed(**{"StartTime<": "2026-11-24T00:00:00Z"}) == [live.sid]
    assert await listed(StartTime="2026-11-23") == [live.sid]
    assert (await client.get(f"{ROOT}/Calls.json", params={"StartTime": "soon"}, auth=AUTH)).status_code == 400


@pytest.mark.parametrize("status", ["ringing", "completed", "no-answer"])
async def test_a_call_that_is_not_in_progress_cannot_be_moved(client, live, status):
    live.stands(status, 5, None)

    moved = await client.post(f"{ROOT}/Calls/{CALL}.json", data={"Url": "https://router.example/"}, auth=AUTH)

    assert (moved.status_code, moved.json()["code"]) == (400, 21220)
    assert live.updates == []


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"Method": "POST"},
        {"Url": "/relative"},
        {"Url": f"https://router.example/{'x' * 4000}"},
        {"Twiml": "x" * 4001},
        {"Status": "in-progress"},
        {"TimeLimit": "0"},
        {"TimeLimit": "long"},
        {"Url": "https://router.example/", "FallbackUrl": "f"},
    ],
)
async def test_a_call_is_not_changed_wrongly(client, form):
    assert (await client.post(f"{ROOT}/Calls/{CALL}.json", data=form, auth=AUTH)).status_code == 400


async def test_a_call_that_does_not_exist_is_not_found(client):
    assert (await client.get(f"{ROOT}/Calls/{CALL}.json", auth=AUTH)).status_code == 404
    assert (await client.post(f"{ROOT}/Calls/{CALL}.json", data={"Status": "completed"}, auth=AUTH)).status_code == 404


async def test_a_recording_is_real_audio_behind_the_accounts_password(client, box):
    box.state.twilio.add_recording(ACCOUNT_SID, CALL, RECORDING, seconds=7.2)
    address = f"{ROOT}/Recordings/{RECORDING}"

    assert (await client.get(f"{address}.mp3")).status_code == 401
    mp3 = await client.get(f"{address}.mp3", auth=AUTH)
    assert (mp3.headers["content-type"], len(mp3.content)) == ("audio/mpeg", 7200)
    assert mp3.content[:2] == b"\xff\xe3"
    with wave.open(io.BytesIO((await client.get(address, auth=AUTH)).content)) as wav:
        assert wav.getnframes() / wav.getframerate() == 7.2
    assert (await client.get(f"{address}.json", auth=AUTH)).json()["call_sid"] == CALL


async def test_a_range_of_a_recording(client, box):
    box.state.twilio.add_recording(ACCOUNT_SID, CALL, RECORDING, seconds=7.2)
    address = f"{ROOT}/Recordings/{RECORDING}.mp3"

    part = await client.get(address, auth=AUTH, headers={"range": "bytes=72-143"})
    rest = await client.get(address, auth=AUTH, headers={"range": "bytes=7128-"})
    beyond = await client.get(address, auth=AUTH, headers={"range": "bytes=7200-"})

    assert (part.status_code, part.headers["content-range"], part.content[:2]) == (
        206,
        "bytes 72-143/7200",
        b"\xff\xe3",
    )
    assert (rest.status_code, len(rest.content)) == (206, 72)
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */7200")


async def test_a_deleted_recording_is_gone(client, box):
    box.state.twilio.add_recording(ACCOUNT_SID, CALL, RECORDING, seconds=2)
    address = f"{ROOT}/Recordings/{RECORDING}.json"

    assert (await client.delete(address, auth=AUTH)).status_code == 204
    assert (await client.delete(address, auth=AUTH)).status_code == 404
    assert (await client.get(f"{ROOT}/Recordings/{RECORDING}.mp3", auth=AUTH)).status_code == 404
