"""Twilio's webhooks: who is believed, what is answered to everything else, and that nothing is written for it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import asyncpg
import httpx
import pytest

from adapters.sandbox.carrier import Script
from adapters.twilio import read_form
from adapters.twilio import sign as sign_bytes
from crypto import Secret
from router.callers import name_caller
from tests.support.signed_requests import (
    SIGNATURE,
    STATUS,
    VOICE,
    call_form,
    count_writes,
    new_call_sid,
    post_signed,
    read_document,
    signature,
    verbs,
)
from tests.support.world import OWNER, Client, World, open_world

pytestmark = pytest.mark.anyio

LIMIT = 64 * 1024
CALLBACK = "/webhooks/twilio/calls/call_1/ai-1?state=x"
ADDRESSES = (VOICE, STATUS, CALLBACK)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OTHER_CALLER = "+14155550177"


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.sandbox.state.requests.clear()
    return shared_world


@pytest.fixture
async def client(world: World) -> Client:
    return await world.add_client(routing={"mode": "ring_through"})


async def post_raw(world: World, path: str, body: Any, headers: dict[str, str | bytes] | None = None) -> httpx.Response:
    return await world.http.post(f"{world.urls[0]}{path}", content=body, headers=FORM | (headers or {}))


def sign(world: World, client: Client, path: str, form: dict[str, str]) -> dict[str, str]:
    return {SIGNATURE: signature(client.auth_token, f"{world.settings.base_url}{path}", form)}


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024 + 1):
        yield b"x" * 1024


# Who is not answered


@pytest.mark.parametrize("path", ADDRESSES)
async def test_a_body_that_is_too_large_is_refused_before_all_else(world: World, client, path):
    before = await count_writes(world)
    declared = await post_raw(world, path, b"x" * (LIMIT + 1))
    chunked = await post_raw(world, path, chunks(LIMIT))
    form = call_form(client, Filler="x" * LIMIT)
    signed = await post_signed(world, path, form, client.auth_token)
    assert [declared.status_code, chunked.status_code, signed.status_code] == [413, 413, 413]
    assert await count_writes(world) == before


async def test_a_body_of_just_the_largest_size_is_read(world: World, client):
    form = call_form(client)
    form["Filler"] = "x" * (LIMIT - len(urlencode(form | {"Filler": ""})))
    assert len(urlencode(form)) == LIMIT
    assert verbs(await post_signed(world, VOICE, form, client.auth_token)) == ["Dial"]


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"&&&",
        b"=",
        b'{"CallSid": "CA1", "AccountSid": "AC1"}',
        b"\x80\xff\xfe",
        "CallSid=CA1&AccountSid=AC1&From=\u00e9".encode(),
        b"CallSid=CA1",
        b"AccountSid=AC1",
        b"CallSid=&AccountSid=",
        b"CallSid=%00&AccountSid=AC1",
        b"a=b&" * 2000 + b"CallSid=CA1&AccountSid=AC1",
        b"--x\r\nContent-Disposition: form-data; name=CallSid\r\n\r\nCA1\r\n--x--",
    ],
)
async def test_what_is_no_form_of_a_call_is_refused(world: World, path, body):
    before = await count_writes(world)
    assert (await post_raw(world, path, body, {SIGNATURE: "x"})).status_code == 400
    assert await count_writes(world) == before


@pytest.mark.parametrize("missing", ["CallSid", "AccountSid"])
async def test_a_signature_does_not_help_a_form_without_its_ids(world: World, client, missing):
    form = call_form(client)
    del form[missing]
    assert (await post_signed(world, VOICE, form, client.auth_token)).status_code == 400


@pytest.mark.parametrize("path", ADDRESSES)
async def test_an_unsigned_request_is_refused(world: World, client, path):
    before = await count_writes(world)
    body = urlencode(call_form(client))
    assert (await post_raw(world, path, body)).status_code == 403
    for wrong in ("", "x", "=" * 28, "A" * 27 + "=", "é".encode(), "A" * 5000):
        assert (await post_raw(world, path, body, {SIGNATURE: wrong})).status_code == 403
    assert await count_writes(world) == before
    assert world.asked("vapi") == 0


@pytest.mark.parametrize("path", ADDRESSES)
async def test_a_signature_for_something_else_is_refused(world: World, client, path):
    before = await count_writes(world)
    form = call_form(client)
    url = f"{world.settings.base_url}{path}"
    without_to = {name: value for name, value in form.items() if name != "To"}
    for signed_url, signed_form in (
        (url, {}),
        (url, without_to),
        (url, form | {"From": OTHER_CALLER}),
        (url + "&x=1" if "?" in url else url + "?x=1", form),
        (url.replace("twilio", "Twilio"), form),
        (url.replace("http://", "https://"), form),
        (f"https://attacker.example{path}", form),
    ):
        given = signature(client.auth_token, signed_url, signed_form)
        assert (await post_raw(world, path, urlencode(form), {SIGNATURE: given})).status_code == 403
    cut = sign(world, client, path, form)[SIGNATURE][:-4]
    assert (await post_raw(world, path, urlencode(form), {SIGNATURE: cut})).status_code == 403
    assert await count_writes(world) == before


async def test_an_unused_account_is_refused_like_a_wrong_signature(world: World, client):
    form = call_form(client, AccountSid="AC" + "9" * 32)
    for token in (client.auth_token, "", "9" * 32):
        given = signature(token, f"{world.settings.base_url}{VOICE}", form)
        assert (await post_raw(world, VOICE, urlencode(form), {SIGNATURE: given})).status_code == 403


@pytest.mark.parametrize("path", ADDRESSES)
async def test_one_account_cannot_sign_for_another(world: World, client, path):
    other = await world.add_client(own_account=True)
    before = await count_writes(world)
    assert (await post_signed(world, path, call_form(client), other.auth_token)).status_code == 403
    assert (await post_signed(world, path, call_form(other), client.auth_token)).status_code == 403
    assert await count_writes(world) == before


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_only_post_is_answered(world: World, client, method):
    form = call_form(client)
    path = f"{VOICE}?{urlencode(form)}"
    headers = {SIGNATURE: signature(client.auth_token, f"{world.settings.base_url}{path}", {})}
    response = await world.http.request(method, f"{world.urls[0]}{path}", headers=headers)
    assert response.status_code == 405


async def test_a_signature_that_cannot_be_checked_now_sends_twilio_to_the_fallback(database_dsn, tmp_path):
    """The agency's token is in the database, and the database is away."""
    async with open_world(database_dsn, tmp_path) as world:
        client = await world.add_client(own_account=True)
        await cut_off_database(world)
        for path in ADDRESSES:
            assert (await post_signed(world, path, call_form(client), client.auth_token)).status_code == 503


async def cut_off_database(world: World) -> None:
    name = await world.db.fetchval("SELECT current_database()")
    dsn = world.settings.dsn.replace(f"/{name}?", "/postgres?", 1)
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    finally:
        await admin.close()


# Whose number it is


async def test_a_number_that_is_not_set_up_says_so_and_hangs_up(world: World, client):
    before = await count_writes(world)
    for to in ("+15005559999", "", "sip:x@example.com", "+" + "1" * 5000, f" {client.number}", "\0", "😀"):
        form = call_form(client, To=to)
        assert verbs(await post_signed(world, VOICE, form, client.auth_token)) == ["Say", "Hangup"]
    assert await count_writes(world) == before
    assert world.asked("vapi") == 0


async def test_a_call_without_any_number_gets_a_word_and_a_hang_up(world: World, client):
    form = {"AccountSid": client.account_sid, "CallSid": new_call_sid()}
    assert verbs(await post_signed(world, VOICE, form, client.auth_token)) == ["Say", "Hangup"]


async def test_a_valid_signature_says_nothing_about_another_account_s_number(world: World, client):
    """Neither the platform's account for an agency's own, nor the other way round, nor one agency for another."""
    first = await world.add_client(own_account=True, routing={"mode": "ring_through"})
    second = await world.add_client(own_account=True, routing={"mode": "ring_through"})
    before = await count_writes(world)
    for signer in (client, first, second):
        for number_of in (client, first, second):
            form = call_form(signer, To=number_of.number)
            expected = ["Dial"] if signer is number_of else ["Say", "Hangup"]
            assert verbs(await post_signed(world, VOICE, form, signer.auth_token)) == expected
    assert (await count_writes(world))["calls"] == before["calls"] + 3


async def test_the_same_number_on_two_accounts_is_two_numbers(world: World, client):
    other = await world.add_client(providers=["retell"], own_account=True, routing={"mode": "voicemail"})
    await world.db.execute("UPDATE numbers SET e164 = $1 WHERE account_sid = $2", client.number, other.account_sid)
    form = call_form(other, To=client.number)
    assert verbs(await post_signed(world, VOICE, form, other.auth_token)) == ["Say", "Record", "Hangup"]
    assert verbs(await post_signed(world, VOICE, call_form(client), client.auth_token)) == ["Dial"]


async def test_an_agency_s_own_account_is_answered_like_the_platform_s(world: World):
    client = await world.add_client(own_account=True, routing={"mode": "ring_through"})
    timeline = await world.call(client, Script(owner="accepts"))
    assert timeline.answered_by == "owner"
    assert (await world.find_call(timeline))["outcome"] == "owner"


async def test_a_former_token_counts_for_a_day_after_a_new_one_was_saved(world: World):
    client = await world.add_client(own_account=True, routing={"mode": "voicemail"})
    old, new = client.auth_token, secrets.token_hex(16)
    assert (await post_signed(world, VOICE, call_form(client), old)).status_code == 200
    await world.save_key(client.agency_id, "twilio", new, account_sid=client.account_sid)
    for token in (old, new, old):
        assert verbs(await post_signed(world, VOICE, call_form(client), token)) == ["Say", "Record", "Hangup"]
    world.clock.advance(25 * 3600)
    assert (await post_signed(world, VOICE, call_form(client), old)).status_code == 403
    assert verbs(await post_signed(world, VOICE, call_form(client), new)) == ["Say", "Record", "Hangup"]


async def test_a_former_token_that_was_used_last_is_forgotten_after_a_day_too(world: World):
    client = await world.add_client(own_account=True, routing={"mode": "voicemail"})
    assert (await post_signed(world, VOICE, call_form(client), client.auth_token)).status_code == 200
    await world.save_key(client.agency_id, "twilio", secrets.token_hex(16), account_sid=client.account_sid)
    world.clock.advance(25 * 3600)
    assert (await post_signed(world, VOICE, call_form(client), client.auth_token)).status_code == 403


async def test_a_deleted_token_refuses_the_next_call_at_once(world: World):
    client = await world.add_client(own_account=True, routing={"mode": "voicemail"})
    assert (await post_signed(world, VOICE, call_form(client), client.auth_token)).status_code == 200
    await world.db.execute("DELETE FROM keys WHERE agency_id = $1 AND kind = 'twilio'", client.agency_id)
    before = await count_writes(world)
    assert (await post_signed(world, VOICE, call_form(client), client.auth_token)).status_code == 403
    assert await count_writes(world) == before


async def test_a_saved_token_counts_on_the_next_call(world: World):
    client = await world.add_client(own_account=True, routing={"mode": "voicemail"})
    new = secrets.token_hex(16)
    assert (await post_signed(world, VOICE, call_form(client), new)).status_code == 403
    await world.save_key(client.agency_id, "twilio", new, account_sid=client.account_sid)
    assert verbs(await post_signed(world, VOICE, call_form(client), new)) == ["Say", "Record", "Hangup"]


# How the signed address is spelled


@pytest.fixture
async def behind_proxy(database_dsn: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with open_world(database_dsn, tmp_path, public_url=request.param) as world:
        yield world


@pytest.mark.parametrize(
    ("behind_proxy", "signed"),
    [
        (public, signed)
        for public, all_signed in {
            "https://router.example": ("https://router.example", "https://router.example:443"),
            "https://router.example:443": ("https://router.example", "https://router.example:443"),
            "https://router.example:8443": ("https://router.example:8443", "https://router.example"),
            "https://Router.Example/": ("https://router.example", "https://router.example:443"),
            "https://router.example/calls": ("https://router.example/calls", "https://router.example:443/calls"),
        }.items()
        for signed in all_signed
    ],
    indirect=["behind_proxy"],
)
async def test_the_public_address_is_signed_with_or_without_its_port(behind_proxy: World, signed):
    world = behind_proxy
    client = await world.add_client(routing={"mode": "voicemail"})
    response = await post_signed(world, VOICE, call_form(client), client.auth_token, signed_url=f"{signed}{VOICE}")
    assert verbs(response) == ["Say", "Record", "Hangup"]


@pytest.mark.parametrize("behind_proxy", ["https://router.example"], indirect=True)
async def test_nothing_in_a_request_changes_which_address_must_be_signed(behind_proxy: World):
    world = behind_proxy
    client = await world.add_client(routing={"mode": "voicemail"})
    headers = {
        "Host": "attacker.example",
        "X-Forwarded-Host": "attacker.example",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=attacker.example;proto=http",
        "X-Original-URL": "/elsewhere",
    }
    for signed, status in (("https://router.example", 200), ("http://attacker.example", 403)):
        response = await post_signed(
            world, VOICE, call_form(client), client.auth_token, signed_url=f"{signed}{VOICE}", headers=headers
        )
        assert response.status_code == status


@pytest.mark.parametrize("query", ["x=1", "a=%20b+c", "a=%C3%A9", "a=b&a=b&=&", "url=https%3A%2F%2Fx%2F%3Fy", "x=%zz"])
async def test_a_query_is_signed_as_it_was_sent(world: World, client, query):
    path = f"{VOICE}?{query}"
    assert verbs(await post_signed(world, path, call_form(client), client.auth_token)) == ["Dial"]


@pytest.mark.parametrize(
    "changes",
    [
        {"CallerName": "", "FromCity": ""},
        {"CallerName": "  A+B & C=D %20 \t"},
        {"CallToken": '{"parentCallInfoToken":"x=="}', "StirVerstat": "TN-Validation-Passed-A"},
        {"Zzz": "1", "aaa": "2", "AAA": "3", "Äöü": "4", "😀": "5"},
        {"CallerName": "Zoë 😀 \U0001f468\u200d\U0001f469"},
        {"CallerName": "a\0b"},
        {"CallerName": "\r\n\x01\x7f\u2028"},
    ],
)
async def test_whatever_twilio_sends_more_is_part_of_the_signature_and_no_trouble(world: World, client, changes):
    form = call_form(client, **changes)
    assert verbs(await post_signed(world, VOICE, form, client.auth_token)) == ["Dial"]


# What is answered to strange but proven requests


@pytest.mark.parametrize(
    "from_",
    [
        "",
        "anonymous",
        "+266696687",
        "sip:alice@example.com;tag=1",
        "client:alice",
        "\0\0",
        "+1415\0" + "5550123",
        "😀" * 500,
        "x" * 30_000,
        "<Say>hello</Say>",
        '"/><Hangup/>',
    ],
)
async def test_every_caller_is_put_through(world: World, client, from_):
    form = call_form(client, From=from_)
    assert verbs(await post_signed(world, VOICE, form, client.auth_token)) == ["Dial"]
    stored = await world.db.fetchval("SELECT from_number FROM calls WHERE call_sid = $1", form["CallSid"])
    assert stored == name_caller(from_.replace("\0", ""))


async def test_bytes_that_are_no_utf_8_are_signed_and_read_as_bytes(world: World, client):
    """Twilio's library signs text; this is what its servers do with the bytes of a carrier's display name."""
    body = (urlencode(call_form(client)) + "&CallerName=%FF%FE%80&From=%E9").encode()
    given = sign_bytes(Secret(client.auth_token), f"{world.settings.base_url}{VOICE}", read_form(body))
    assert verbs(await post_raw(world, VOICE, body, {SIGNATURE: given})) == ["Dial"]


async def test_a_repeated_name_counts_once_in_the_signature_and_the_first_is_read(world: World, client):
    form = call_form(client)
    body = urlencode(form) + f"&To={form['To'].replace('+', '%2B')}"
    headers = sign(world, client, VOICE, form)
    assert verbs(await post_raw(world, VOICE, body, headers)) == ["Dial"]


@pytest.mark.parametrize("call_sid", ["CA" + "x" * 5000, "😀", "../../etc/passwd", "a\0b", " "])
async def test_a_strange_call_sid_of_a_proven_account_is_never_our_error(world: World, client, call_sid):
    form = call_form(client, CallSid=call_sid)
    for path in ADDRESSES:
        assert (await post_signed(world, path, form, client.auth_token)).status_code in (200, 400)


async def ai_leg(world: World, client: Client) -> tuple[dict[str, str], str]:
    """A call that is with its AI by SIP: its form and the address of the leg's action."""
    form = call_form(client)
    dial = read_document(await post_signed(world, VOICE, form, client.auth_token)).find("Dial")
    return form, dial.get("action")


def with_state(address: str, state: str) -> str:
    return f"{urlsplit(address).path}?{urlencode({'state': state})}"


def state_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["state"][0]


AFTER = {"CallStatus": "in-progress", "DialCallStatus": "no-answer"}


@pytest.mark.parametrize(
    "damage", ["", "x", "\0", "cut", "changed", "😀", "v1.main." + "A" * 4000, "%00", "' OR 1=1 --"]
)
async def test_a_caller_whose_state_is_lost_gets_the_voicemail(world: World, damage):
    client = await world.add_client(providers=["retell", "bland"], routing={"on_failure": "ring_through"})
    form, action = await ai_leg(world, client)
    state = {"cut": state_of(action)[:-9], "changed": state_of(action)[:-9] + "A" * 9}.get(damage, damage)
    answer = await post_signed(world, with_state(action, state), form | AFTER, client.auth_token)
    assert verbs(answer) == ["Say", "Record", "Hangup"]
    assert world.asked("bland") == 0


async def test_a_lost_state_after_the_caller_hung_up_needs_no_answer(world: World):
    client = await world.add_client(providers=["retell"])
    form, action = await ai_leg(world, client)
    gone = form | AFTER | {"CallStatus": "completed"}
    assert verbs(await post_signed(world, with_state(action, "x"), gone, client.auth_token)) == []


async def test_a_lost_state_of_a_call_that_is_over_does_not_reopen_it(world: World):
    client = await world.add_client(providers=["retell"])
    form, action = await ai_leg(world, client)
    await post_signed(world, STATUS, form | {"CallStatus": "completed", "CallDuration": "9"}, client.auth_token)
    before = await world.db.fetchrow("SELECT * FROM calls WHERE call_sid = $1", form["CallSid"])
    assert verbs(await post_signed(world, with_state(action, "x"), form | AFTER, client.auth_token)) == ["Hangup"]
    assert await world.db.fetchrow("SELECT * FROM calls WHERE call_sid = $1", form["CallSid"]) == before


@pytest.mark.parametrize("kind", ["same account", "another account"])
async def test_the_state_of_another_call_is_not_acted_upon(world: World, kind):
    """Neither at its own address with this call's SID, nor at this call's address."""
    mine = await world.add_client(providers=["retell"])
    other = mine if kind == "same account" else await world.add_client(providers=["retell"], own_account=True)
    my_form, my_action = await ai_leg(world, mine)
    other_form, other_action = await ai_leg(world, other)
    for address in (other_action, with_state(my_action, state_of(other_action))):
        answer = await post_signed(world, address, my_form | AFTER, mine.auth_token)
        assert verbs(answer) == ["Say", "Record", "Hangup"]
    touched = await world.db.fetchval(
        "SELECT count(*) FROM call_steps WHERE call_sid = $1 AND step LIKE 'ai-%'", other_form["CallSid"]
    )
    assert touched == 0
    assert verbs(await post_signed(world, other_action, other_form | AFTER, other.auth_token)) == [
        "Say",
        "Record",
        "Hangup",
    ]


@pytest.mark.parametrize(
    "step",
    [
        "ai-2",
        "ai-0",
        "ai-01x",
        "ai-٣",
        "ai",
        "owner-1",
        "screen-1",
        "accept-1",
        "voicemail-1",
        "recording-1",
        "x",
        "ai-" + "9" * 400,
    ],
)
async def test_a_state_at_another_step_is_not_acted_upon(world: World, step):
    client = await world.add_client(providers=["retell", "bland"])
    form, action = await ai_leg(world, client)
    path, _, query = action.partition("?")
    address = f"{path.rpartition('/')[0]}/{step}?{query}"
    form |= AFTER | {"Digits": "1", "RecordingSid": "RE" + "1" * 32, "RecordingStatus": "completed"}
    answer = await post_signed(world, httpx.URL(address).raw_path.decode(), form, client.auth_token)
    # On a screened leg an empty document would put the caller through.
    assert verbs(answer, screening=step.startswith(("screen", "accept"))) in (
        [["Hangup"]] if step.startswith(("screen", "accept")) else [[], ["Say", "Record", "Hangup"]]
    )
    assert world.asked("bland") == 0
    call_id = await world.db.fetchval("SELECT id FROM calls WHERE call_sid = $1", form["CallSid"])
    events = {row["event"] for row in await world.db.fetch("SELECT event FROM call_events WHERE call_id = $1", call_id)}
    assert events.isdisjoint({"owner.accepted", "voicemail.received", "call.ended"})


@pytest.mark.parametrize("path", ["/webhooks/twilio/calls/x/nonsense", "/webhooks/twilio/calls/%00/%00", CALLBACK])
async def test_an_address_that_we_never_gave_out_is_answered_with_a_document(world: World, client, path):
    before = await count_writes(world)
    form = call_form(client, CallStatus="in-progress")
    assert verbs(await post_signed(world, path, form, client.auth_token)) in ([], ["Hangup"])
    assert await count_writes(world) == before


@pytest.mark.parametrize("changes", [{"DialCallStatus": ""}, {"DialCallStatus": "😀\0"}, {"CallStatus": ""}, {}])
async def test_an_action_that_says_little_leads_on(world: World, changes):
    client = await world.add_client(providers=["bland", "retell"])
    form, action = await ai_leg(world, client)
    form.pop("CallStatus")
    assert verbs(await post_signed(world, action, form | changes, client.auth_token)) == ["Dial"]
    assert world.asked("retell") == 1


@pytest.mark.parametrize("duration", ["", "x", "-1", "1e9", "٣", "9" * 300])
async def test_a_length_that_makes_no_sense_is_never_our_error(world: World, duration):
    client = await world.add_client(providers=["retell"])
    form, action = await ai_leg(world, client)
    form |= {"CallStatus": "completed", "DialCallStatus": "completed", "DialCallDuration": duration}
    assert verbs(await post_signed(world, action, form, client.auth_token)) == []


async def test_refusals_are_plain_words_and_tell_no_secret(world: World, client):
    form = call_form(client)
    refused = await post_raw(world, VOICE, urlencode(form), {SIGNATURE: "x"})
    assert refused.status_code == 403
    assert "signature" in refused.text
    assert client.auth_token not in refused.text
    assert OWNER not in refused.text
