"""What happened, to be read: calls, voicemails, the audit log."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta

import pytest

from adapters.sandbox.world import ACCOUNT_SID
from router.api import call_search
from router.store.calls.records import SetTranscript, write_records
from router.store.pool import TooSlowError

pytestmark = pytest.mark.anyio

BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CALLER, CALLED = "+14155550123", "+15005550101"


async def file_call(services, agency, call_id, minutes=0, **fields):
    row = {
        "id": call_id,
        "account_sid": ACCOUNT_SID,
        "call_sid": f"CA{call_id}",
        "agency_id": agency.id,
        "client_id": "client_1",
        "from_number": CALLER,
        "to_number": CALLED,
        "started_at": BEGAN + timedelta(minutes=minutes),
    } | fields
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await services.database.settings.execute(
        f"INSERT INTO calls ({', '.join(row)}) VALUES ({places})",  # noqa: S608 - names are those above
        *row.values(),
    )


async def file_voicemail(services, agency, voicemail_id, recording_sid, *, transcript=None, **fields):
    row = {
        "id": voicemail_id,
        "account_sid": ACCOUNT_SID,
        "recording_sid": recording_sid,
        "call_id": "call_1",
        "agency_id": agency.id,
        "client_id": "client_1",
        "from_number": CALLER,
        "at": BEGAN,
        "seconds": 12,
    } | fields
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await services.database.settings.execute(
        f"INSERT INTO voicemails ({', '.join(row)}) VALUES ({places})",  # noqa: S608 - names are those above
        *row.values(),
    )
    if transcript is not None:
        said = SetTranscript(voicemail_id, transcript, row["call_id"])
        await write_records(services.database.settings, said)


async def test_a_call_shows_who_called_who_answered_and_what_it_cost(api, services):
    agency = await api.new_agency()
    await file_call(
        services,
        agency,
        "call_1",
        provider="vapi",
        outcome="ai",
        answered_at=BEGAN + timedelta(seconds=2),
        ended_at=BEGAN + timedelta(seconds=62),
        seconds=60,
        cost=0.125,
    )
    shown = {
        "id": "call_1",
        "call_sid": "CAcall_1",
        "client_id": "client_1",
        "from": CALLER,
        "to": CALLED,
        "provider": "vapi",
        "outcome": "ai",
        "started_at": "2026-03-02T09:00:00Z",
        "answered_at": "2026-03-02T09:00:02Z",
        "ended_at": "2026-03-02T09:01:02Z",
        "seconds": 60,
        "cost": 0.125,
    }
    assert (await api.get(f"{agency.path}/calls", token=agency.token))["items"] == [shown]
    untold = dict.fromkeys(("provider_call_id", "end_reason", "summary", "transcript", "ai_seconds"))
    untold |= {"turns": [], "recording": False}
    assert await api.get(f"{agency.path}/calls/call_1") == shown | untold | {"events": []}


async def test_a_single_call_tells_its_events_in_order(api, services):
    agency = await api.new_agency()
    await file_call(services, agency, "call_1")
    for place, event in enumerate(("handoff.failed", "call.received", "call.fell_back")):
        await services.database.settings.execute(
            "INSERT INTO call_events (id, call_id, at, event, step, reason, duration_ms) VALUES ($1,$2,$3,$4,$5,$6,$7)",
            f"event_{place}",
            "call_1",
            BEGAN + timedelta(seconds=(1, 0, 2)[place]),
            event,
            "inbound",
            "timeout" if event == "handoff.failed" else None,
            6000 if event == "handoff.failed" else None,
        )
    call = await api.get(f"{agency.path}/calls/call_1")
    assert [event["event"] for event in call["events"]] == ["call.received", "handoff.failed", "call.fell_back"]
    assert call["events"][1] == {
        "id": "event_0",
        "at": "2026-03-02T09:00:01Z",
        "event": "handoff.failed",
        "step": "inbound",
        "provider": None,
        "reason": "timeout",
        "duration_ms": 6000,
    }
    assert call["outcome"] is None


async def test_events_of_the_same_moment_come_in_the_order_in_which_they_were_noted(api, services):
    """The carrier tells whole seconds, so what is found in its lists often happened at once."""
    agency = await api.new_agency()
    await file_call(services, agency, "call_1")
    events = ("call.received", "voicemail.received", "call.ended")
    for place, event in enumerate(events):
        await services.database.settings.execute(
            "INSERT INTO call_events (id, call_id, at, event, step) VALUES ($1, 'call_1', $2, $3, 'inbound')",
            f"event_{9 - place}",
            BEGAN,
            event,
        )
    call = await api.get(f"{agency.path}/calls/call_1")
    assert [event["event"] for event in call["events"]] == list(events)


async def test_calls_come_newest_first_page_by_page(api, services):
    agency = await api.new_agency()
    for number in range(5):
        await file_call(services, agency, f"call_{number}", minutes=number // 2)
    first = await api.get(f"{agency.path}/calls", params={"limit": 3})
    rest = await api.get(f"{agency.path}/calls", params={"cursor": first["next_cursor"]})
    shown = [call["id"] for call in first["items"] + rest["items"]]
    assert shown == ["call_4", "call_3", "call_2", "call_1", "call_0"]
    assert rest["next_cursor"] is None


async def test_another_agencys_calls_and_messages_are_not_there(api, services):
    mine, theirs = await api.new_agency(), await api.new_agency()
    await file_call(services, theirs, "call_1")
    await file_voicemail(services, theirs, "voicemail_1", "RE" + "0" * 32)
    for path in ("calls/call_1", "voicemails/voicemail_1/audio"):
        assert (await api.refusal("GET", f"{mine.path}/{path}", token=mine.token)).status == 404
    assert (await api.refusal("DELETE", f"{mine.path}/voicemails/voicemail_1", token=mine.token)).status == 404
    for path in ("calls", "voicemails"):
        assert (await api.get(f"{mine.path}/{path}", token=mine.token))["items"] == []


RECORDING = "RE" + "0a" * 16


@pytest.fixture
async def message(api, services, sandbox):
    """An agency with a message of two seconds."""
    agency = await api.new_agency()
    await file_call(services, agency, "call_1")
    await file_voicemail(services, agency, "voicemail_1", RECORDING, transcript="Call me back")
    sandbox.state.twilio.add_recording(ACCOUNT_SID, "CAcall_1", RECORDING, 2.0)
    return agency


async def test_a_message_is_listed_and_played_through_us(api, message):
    listed = (await api.get(f"{message.path}/voicemails", token=message.token))["items"]
    assert listed == [
        {
            "id": "voicemail_1",
            "call_id": "call_1",
            "client_id": "client_1",
            "from": CALLER,
            "at": "2026-03-02T09:00:00Z",
            "seconds": 12,
            "transcript": "Call me back",
            "recording_sid": RECORDING,
        }
    ]
    played = await api.send("GET", f"{message.path}/voicemails/voicemail_1/audio", token=message.token)
    assert played.status_code == 200
    assert played.headers["content-type"] == "audio/mpeg"
    assert played.headers["accept-ranges"] == "bytes"
    assert int(played.headers["content-length"]) == len(played.content) > 1000


async def test_a_part_of_a_message_is_played_and_an_impossible_part_is_not(api, message):
    path = f"{message.path}/voicemails/voicemail_1/audio"
    whole = (await api.send("GET", path)).content
    part = await api.send("GET", path, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole)}"
    beyond = await api.send("GET", path, headers={"range": "bytes=99999999-"})
    assert (beyond.status_code, beyond.content) == (416, b"")
    assert (await api.send("GET", path, headers={"range": "lines=1-2"})).content == whole


async def test_a_deleted_message_is_gone_here_and_at_the_carrier(api, message, sandbox):
    path = f"{message.path}/voicemails/voicemail_1"
    sandbox.state.faults.set("twilio", "503")
    assert (await api.refusal("DELETE", path)).name == "provider-unreachable"
    assert (await api.get(f"{message.path}/voicemails"))["items"]
    sandbox.state.faults.clear()
    await api.delete(path)
    assert sandbox.state.twilio.accounts[ACCOUNT_SID].recordings == {}
    assert (await api.refusal("DELETE", path)).status == 404


async def test_a_recording_that_the_carrier_lost_is_not_found_and_can_still_be_deleted(api, message, sandbox):
    sandbox.state.twilio.accounts[ACCOUNT_SID].recordings.clear()
    path = f"{message.path}/voicemails/voicemail_1"
    assert (await api.refusal("GET", f"{path}/audio")).status == 404
    await api.delete(path)


async def test_a_failing_carrier_is_reported_instead_of_an_empty_recording(api, message, sandbox):
    path = f"{message.path}/voicemails/voicemail_1/audio"
    for fault in ("500", "429", "garbage", "html", "redirect"):
        sandbox.state.faults.set("twilio", fault)
        assert (await api.refusal("GET", path)).name == "provider-unreachable", fault


async def test_a_message_in_the_agencys_own_account_is_fetched_with_its_own_token(api, services, sandbox):
    own = sandbox.state.twilio.add_account("AC" + "0e" * 16, "token-of-the-agencys-own-account")
    sandbox.state.twilio.add_recording(own.sid, "CAcall_1", RECORDING, 1.0)
    agency = await api.new_agency()
    await file_call(services, agency, "call_1", account_sid=own.sid)
    await file_voicemail(services, agency, "voicemail_1", RECORDING, account_sid=own.sid)
    path = f"{agency.path}/voicemails/voicemail_1/audio"
    assert (await api.refusal("GET", path)).name == "no-key"
    await api.put(f"{agency.path}/keys/twilio", {"account_sid": own.sid, "auth_token": own.auth_token})
    assert (await api.send("GET", path)).status_code == 200


async def test_every_change_is_in_the_audit_log_with_its_author(api, clock):
    agency = await api.new_agency()
    clock.move(minutes=1)
    client = await api.post(f"{agency.path}/clients", {"name": "Bella"}, token=agency.token)
    clock.move(minutes=1)
    await api.patch(agency.path, {"name": "Acme"})
    (token,) = (await api.get(f"{agency.path}/tokens"))["items"]
    entries = (await api.get(f"{agency.path}/audit", token=agency.token))["items"]
    assert [(entry["actor"], entry["action"], entry["target"]) for entry in entries[:2]] == [
        ("admin", "agency.changed", agency.id),
        (token["id"], "client.created", client["id"]),
    ]
    assert {entry["action"] for entry in entries[2:]} == {"agency.created", "token.created"}
    assert entries[0]["at"] == "2026-03-02T12:02:00Z"
    assert entries[0]["address"] == "127.0.0.1"


async def test_what_was_refused_is_not_noted(api):
    agency = await api.new_agency()
    before = (await api.get(f"{agency.path}/audit"))["items"]
    await api.refusal("PATCH", agency.path, {"active_provider": "vapi"})
    await api.refusal("PUT", f"{agency.path}/keys/vapi", {"key": "wrong"})
    assert (await api.get(f"{agency.path}/audit"))["items"] == before


async def test_calls_are_searched_by_what_is_known_of_them(api, services):
    agency, other = await api.new_agency(), await api.new_agency()
    later = {"outcome": "voicemail", "answered_by": "voicemail", "from_number": "+442079460123"}
    ai = {"outcome": "ai", "answered_by": "ai", "provider": "vapi", "ended_at": BEGAN + timedelta(minutes=1)}
    await file_call(services, agency, "call_ai", **ai, transcript="AI: Hello!\nUser: Water is leaking.")
    await file_call(services, agency, "call_on", minutes=10, client_id="client_2", to_number="+442079460100")
    await file_call(services, agency, "call_later", minutes=60 * 24, ended_at=BEGAN + timedelta(days=2), **later)
    await file_voicemail(services, agency, "v1", "RE1", call_id="call_later", transcript="It is about the leak.")
    await file_call(services, other, "call_theirs", **ai, transcript="Water is leaking.")
    found = {}
    for asked in (
        {"client_id": "client_2"},
        {"caller": "+1 (415) 555-0123"},
        {"caller": "+44 (0)20 7946 0123", "outcome": "voicemail"},
        {"caller": "withheld"},
        {"number": CALLED, "outcome": "ai"},
        {"outcome": "in_progress"},
        {"answered_by": "voicemail"},
        {"provider": "vapi"},
        {"q": "leak"},
        {"q": '"is leaking"'},
        {"q": "leaking hello", "provider": "retell"},
        {"q": "<b> &amp;"},
        {"from": "2026-03-03"},
        {"to": "2026-03-02", "limit": "1"},
    ):
        page = await api.get(f"{agency.path}/calls", token=agency.token, params=asked)
        found[" ".join(f"{name}={text}" for name, text in asked.items())] = [call["id"] for call in page["items"]]
    assert found == {
        "client_id=client_2": ["call_on"],
        "caller=+1 (415) 555-0123": ["call_on", "call_ai"],
        "caller=+44 (0)20 7946 0123 outcome=voicemail": ["call_later"],
        "caller=withheld": [],
        f"number={CALLED} outcome=ai": ["call_ai"],
        "outcome=in_progress": ["call_on"],
        "answered_by=voicemail": ["call_later"],
        "provider=vapi": ["call_ai"],
        "q=leak": ["call_later", "call_ai"],
        'q="is leaking"': ["call_ai"],
        "q=leaking hello provider=retell": [],
        "q=<b> &amp;": [],
        "from=2026-03-03": ["call_later"],
        "to=2026-03-02 limit=1": ["call_on"],
    }


async def test_a_search_goes_on_where_its_page_ended(api, services):
    agency = await api.new_agency()
    for number in range(5):
        ended_at = BEGAN + timedelta(hours=1) if number % 2 else None
        await file_call(services, agency, f"call_{number}", minutes=number, transcript="Hello", ended_at=ended_at)
    for asked in ({"caller": CALLER}, {"q": "hello"}):
        first = await api.get(f"{agency.path}/calls", params=asked | {"limit": 3})
        rest = await api.get(f"{agency.path}/calls", params=asked | {"cursor": first["next_cursor"]})
        assert [call["id"] for call in first["items"] + rest["items"]] == [f"call_{4 - place}" for place in range(5)]
        assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"caller": "twelve"}, "caller"), ({"q": "?!"}, "q"), ({"from": "2026-03-02", "to": "2026-03-01"}, "from")],
)
async def test_a_search_that_cannot_find_anything_is_refused(api, asked, field):
    agency = await api.new_agency()
    problem = await api.refusal("GET", f"{agency.path}/calls", params=asked)
    assert (problem.status, problem.fields) == (422, (field,))


async def test_a_sheet_holds_all_calls_and_no_formulas(api, services, monkeypatch):
    monkeypatch.setattr(call_search, "_ROWS", 2)
    agency = await api.new_agency()
    for place, caller in enumerate((CALLER, "=HYPERLINK(1)@example.com", "+1@example.com", "\uff1dA1", CALLER)):
        await file_call(services, agency, f"call_{place}", minutes=place, from_number=caller)
    reply = await api.http.get(
        f"{agency.path}/calls?limit=1&from=2026-03-02",
        headers={"Authorization": f"Bearer {agency.token}", "Accept": "text/csv"},
    )
    assert reply.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(reply.text.splitlines()))
    assert [row["id"] for row in rows] == [f"call_{4 - place}" for place in range(5)]
    callers = [CALLER, "'\uff1dA1", "'+1@example.com", "'=HYPERLINK(1)@example.com", CALLER]
    assert [row["from"] for row in rows] == callers
    assert rows[0]["started_at"] == "2026-03-02T09:04:00+00:00"


async def test_a_sheet_that_takes_too_long_from_the_start_is_refused_and_not_begun(api, monkeypatch):
    async def never(*_, **__):
        raise TooSlowError

    monkeypatch.setattr(call_search, "search_calls", never)
    agency = await api.new_agency()
    problem = await api.refusal("GET", f"{agency.path}/calls", headers={"Accept": "text/csv"})
    assert problem.status == 503
    assert "shorter span" in problem.detail
