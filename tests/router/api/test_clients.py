from __future__ import annotations

import pytest

from adapters.sandbox.world import ACCOUNT_SID, NUMBERS
from router.calls.fallback import RingTimes, open_fallback
from tests.router.api.client import number_path

pytestmark = pytest.mark.anyio

OWNER = "+14155550100"
DEFAULT_ROUTING = {
    "mode": "ai",
    "on_failure": "voicemail",
    "ring_seconds": 15,
    "screen": True,
    "voicemail_greeting": None,
    "voicemail_seconds": 120,
    "transcribe": True,
    "hours": None,
}
ASSISTANT = {
    "prompt": "You answer for Bella's Salon.",
    "greeting": "Bella's, how can I help?",
    "languages": ["fr-CA", "en-US"],
    "voice": {"vapi": {"provider": "vapi", "voiceId": "Elliot", "speed": 1.5}, "retell": {}},
    "transfer_to": OWNER,
    "functions": [
        {
            "name": "book",
            "description": "Books a chair",
            "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
            "url": "https://bella.example/book",
        }
    ],
    "knowledge": [{"title": "Prices", "text": "A cut is 30 euros.\nOpen from nine."}],
    "voicemail_detection": True,
    "max_seconds": 900,
}


async def test_a_client_needs_but_a_name(api):
    agency = await api.new_agency()
    made = await api.post(f"{agency.path}/clients", {"name": "Bella's Salon"}, token=agency.token)
    assert made == {
        "id": made["id"],
        "agency_id": agency.id,
        "name": "Bella's Salon",
        "personal_phone": None,
        "notify_email": None,
        "notify_email_confirmed": None,
        "problems": [],
        "provider": None,
        "caller_id": "caller",
        "routing": DEFAULT_ROUTING,
        "assistant": None,
        "created_at": "2026-03-02T12:00:00Z",
    }
    assert made["id"].startswith("client_")
    assert await api.get(f"{agency.path}/clients/{made['id']}") == made
    assert (await api.get(f"{agency.path}/clients"))["items"] == [made]


async def test_everything_that_can_be_said_of_a_client_comes_back_as_it_was_said(api):
    agency = await api.new_agency()
    routing = {
        "mode": "owner_first",
        "on_failure": "ring_through",
        "ring_seconds": 20,
        "screen": False,
        "voicemail_greeting": "Please leave a message.",
        "voicemail_seconds": 60,
        "transcribe": False,
        "hours": {
            "timezone": "Europe/London",
            "open": [
                {"days": ["mon", "tue"], "from": "09:00", "to": "17:30"},
                {"days": ["fri"], "from": "20:00", "to": "02:00"},
                {"days": ["sun"], "from": "00:00", "to": "24:00"},
            ],
            "closed_mode": "ai",
        },
    }
    said = {
        "name": "Bella's Salon",
        "personal_phone": OWNER,
        "notify_email": "bella@example.com",
        "provider": "bland",
        "caller_id": "number",
        "routing": routing,
        "assistant": ASSISTANT,
    }
    made = await api.post(f"{agency.path}/clients", said)
    assert {name: made[name] for name in said} == said
    assert await api.get(f"{agency.path}/clients/{made['id']}") == made


async def test_a_change_replaces_the_fields_it_names(api):
    agency = await api.new_agency()
    made = await api.new_client(agency, personal_phone=OWNER, assistant=ASSISTANT, routing={"ring_seconds": 30})
    path = f"{agency.path}/clients/{made['id']}"
    assert await api.patch(path, {}) == made
    changed = await api.patch(path, {"name": "Bella", "routing": {"mode": "ring_through"}})
    assert changed == made | {"name": "Bella", "routing": DEFAULT_ROUTING | {"mode": "ring_through"}}
    cleared = await api.patch(path, {"assistant": None, "routing": None, "personal_phone": None})
    assert cleared == changed | {"assistant": None, "routing": DEFAULT_ROUTING, "personal_phone": None}
    assert await api.get(path) == cleared


async def test_a_copy_answers_like_its_model_but_rings_nobody_of_it(api):
    agency = await api.new_agency()
    routing = DEFAULT_ROUTING | {"ring_seconds": 25, "voicemail_greeting": "Later."}
    said = {"caller_id": "number", "provider": "vapi", "routing": routing, "assistant": ASSISTANT}
    own = {"name": "Bella's", "personal_phone": OWNER, "notify_email": "bella@example.com"}
    model = await api.post(f"{agency.path}/clients", own | said)
    path = f"{agency.path}/clients/{model['id']}/copy"
    made = await api.post(path, {"name": "Bella's, downtown"}, token=agency.token)
    without_phone = {name: value for name, value in ASSISTANT.items() if name != "transfer_to"}
    assert made["id"] != model["id"]
    assert (made["name"], made["personal_phone"], made["notify_email"]) == ("Bella's, downtown", None, None)
    assert {name: made[name] for name in said} == said | {"assistant": without_phone}
    second = await api.post(path, {"name": "Bella's, uptown", "transfer_to": "+14155550101"})
    assert second["assistant"] == ASSISTANT | {"transfer_to": "+14155550101"}


async def test_a_copy_needs_a_phone_where_its_model_rings_one(api):
    agency = await api.new_agency()
    said = {"name": "Bella's", "personal_phone": OWNER, "routing": {"mode": "ring_through"}}
    model = await api.post(f"{agency.path}/clients", said)
    path = f"{agency.path}/clients/{model['id']}/copy"
    refused = await api.refusal("POST", path, {"name": "Two"})
    assert (refused.status, refused.fields) == (422, ("personal_phone",))
    refused = await api.refusal("POST", path, {"name": "Two", "personal_phone": "+14155550101", "transfer_to": OWNER})
    assert (refused.status, refused.fields) == (422, ("transfer_to",))
    other = await api.new_agency()
    assert (await api.refusal("POST", path, {"name": "Two"}, token=other.token)).status == 404
    assert len((await api.get(f"{agency.path}/clients"))["items"]) == 1


async def test_a_deleted_client_is_gone(api):
    agency = await api.new_agency()
    path = f"{agency.path}/clients/{(await api.new_client(agency))['id']}"
    await api.delete(path)
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert (await api.refusal(method, path, body)).status == 404


WRONG = [
    ({"name": " "}, "name"),
    ({"personal_phone": "415 555 0100"}, "personal_phone"),
    ({"personal_phone": "+1415555010"}, "personal_phone"),
    ({"personal_phone": "+0123456789"}, "personal_phone"),
    ({"personal_phone": "+14155550100x9"}, "personal_phone"),
    ({"personal_phone": "+१४१५५५५०१००"}, "personal_phone"),
    ({"notify_email": "bella@"}, "notify_email"),
    ({"provider": "twilio"}, "provider"),
    ({"caller_id": "nobody"}, "caller_id"),
    ({"routing": {"mode": "robot"}}, "routing.mode"),
    ({"routing": {"on_failure": "ai"}}, "routing.on_failure"),
    ({"routing": {"ring_seconds": 4}}, "routing.ring_seconds"),
    ({"routing": {"ring_seconds": 61}}, "routing.ring_seconds"),
    ({"routing": {"ring_seconds": True}}, "routing.ring_seconds"),
    ({"routing": {"voicemail_seconds": 601}}, "routing.voicemail_seconds"),
    ({"routing": {"voicemail_greeting": "x" * 1001}}, "routing.voicemail_greeting"),
    ({"routing": {"voicemail_greeting": "bell\u0007"}}, "routing.voicemail_greeting"),
    ({"routing": {"screen": "yes"}}, "routing.screen"),
    ({"routing": {"hours": {"timezone": "Mars/Olympus", "open": []}}}, "routing.hours.timezone"),
    ({"routing": {"hours": {"timezone": "../../etc/passwd", "open": []}}}, "routing.hours.timezone"),
    ({"routing": {"hours": {"open": []}}}, "routing.hours.timezone"),
    ({"assistant": {}}, "assistant.prompt"),
    ({"assistant": {"prompt": "x", "languages": ["english"]}}, "assistant.languages.0"),
    ({"assistant": {"prompt": "x", "languages": []}}, "assistant.languages"),
    ({"assistant": {"prompt": "x", "languages": ["en", "en"]}}, "assistant.languages"),
    ({"assistant": {"prompt": "x", "transfer_to": "me"}}, "assistant.transfer_to"),
    ({"assistant": {"prompt": "x", "voice": {"openai": {}}}}, "assistant.voice"),
    ({"assistant": {"prompt": "x", "voice": {"vapi": "Elliot"}}}, "assistant.voice.vapi"),
    ({"assistant": {"prompt": "x", "max_seconds": 59}}, "assistant.max_seconds"),
    ({"assistant": {"prompt": "x", "max_seconds": 900.5}}, "assistant.max_seconds"),
    ({"assistant": {"prompt": "x", "knowledge": [{"title": "t"}]}}, "assistant.knowledge.0.text"),
    ({"assistant": {"prompt": "x", "model": "gpt"}}, "assistant.model"),
    ({"assistant": "prompt"}, "assistant"),
]


async def test_a_wrong_field_is_named_when_a_client_is_made_and_when_it_is_changed(api):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    for fields, name in WRONG:
        for method, path, body in (
            ("POST", f"{agency.path}/clients", {"name": "Bella"} | fields),
            ("PATCH", f"{agency.path}/clients/{client['id']}", fields),
        ):
            problem = await api.refusal(method, path, body)
            assert (problem.status, problem.name, problem.fields) == (422, "invalid", (name,)), (method, fields)
    assert (await api.get(f"{agency.path}/clients"))["items"] == [client]


@pytest.mark.parametrize(
    ("span", "name"),
    [
        ({"days": [], "from": "09:00", "to": "17:00"}, ".days"),
        ({"days": ["mon", "mon"], "from": "09:00", "to": "17:00"}, ".days"),
        ({"days": ["monday"], "from": "09:00", "to": "17:00"}, ".days.0"),
        ({"days": ["mon"], "from": "9:00", "to": "17:00"}, ".from"),
        ({"days": ["mon"], "from": "24:00", "to": "17:00"}, ".from"),
        ({"days": ["mon"], "from": "09:00", "to": "24:01"}, ".to"),
        ({"days": ["mon"], "from": "09:00", "to": "17:60"}, ".to"),
        ({"days": ["mon"], "from": "09:00"}, ".to"),
        ({"days": ["mon"], "from": "09:00", "to": "09:00"}, ""),
    ],
)
async def test_opening_hours_that_are_none_are_named(api, span, name):
    agency = await api.new_agency()
    body = {"name": "Bella", "routing": {"hours": {"timezone": "Europe/London", "open": [span]}}}
    problem = await api.refusal("POST", f"{agency.path}/clients", body)
    assert problem.fields == (f"routing.hours.open.0{name}",)


@pytest.mark.parametrize(
    "zone",
    [
        "localtime",
        "Factory",
        "posixrules",
        "posix/Europe/London",
        "right/UTC",
        "europe/london",
        "UTC ",
        "+01:00",
        "tzdata.zi",
    ],
)
async def test_a_time_zone_that_depends_on_the_machine_is_refused(api, zone):
    agency = await api.new_agency()
    body = {"name": "Bella", "routing": {"hours": {"timezone": zone, "open": []}}}
    problem = await api.refusal("POST", f"{agency.path}/clients", body)
    assert problem.fields == ("routing.hours.timezone",)


@pytest.mark.parametrize(
    "zone", ["Europe/London", "UTC", "Etc/GMT+5", "US/Pacific", "Asia/Calcutta", "America/Argentina/Ushuaia"]
)
async def test_zones_of_the_iana_database_are_taken(api, zone):
    agency = await api.new_agency()
    client = await api.new_client(agency, routing={"hours": {"timezone": zone, "open": []}})
    assert client["routing"]["hours"]["timezone"] == zone


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ({"name": "book a chair"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "callrouter_transfer"}, "name"),
        ({"name": "Callrouter_x"}, "name"),
        ({"url": "bella.example"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"parameters": {"type": "string"}}, "parameters"),
        ({"parameters": {"type": "object", "properties": []}}, "parameters"),
        ({"parameters": {"type": "object", "required": [1]}}, "parameters"),
    ],
)
async def test_a_function_that_no_provider_could_call_is_named(api, function, name):
    agency = await api.new_agency()
    whole = ASSISTANT["functions"][0] | function
    body = {"name": "Bella", "assistant": {"prompt": "x", "functions": [whole]}}
    problem = await api.refusal("POST", f"{agency.path}/clients", body)
    assert problem.fields == (f"assistant.functions.0.{name}",)


@pytest.mark.parametrize(
    "routing",
    [
        {"mode": "ring_through"},
        {"mode": "owner_first"},
        {"on_failure": "ring_through"},
        {"hours": {"timezone": "Europe/London", "open": [], "closed_mode": "ring_through"}},
    ],
)
async def test_a_rung_that_rings_needs_a_phone(api, routing):
    agency = await api.new_agency()
    problem = await api.refusal("POST", f"{agency.path}/clients", {"name": "Bella", "routing": routing})
    assert problem.fields == ("personal_phone",)
    client = await api.new_client(agency, personal_phone=OWNER, routing=routing)
    path = f"{agency.path}/clients/{client['id']}"
    assert (await api.refusal("PATCH", path, {"personal_phone": None})).fields == ("personal_phone",)
    await api.patch(path, {"personal_phone": None, "routing": None})
    assert (await api.refusal("PATCH", path, {"routing": routing})).fields == ("personal_phone",)


async def take_over(api, agency, client, e164=NUMBERS[0]):
    body = {"e164": e164, "client_id": client["id"], "account": "platform"}
    return await api.post(f"{agency.path}/numbers", body)


async def test_a_number_of_the_agency_cannot_be_an_owners_phone(api):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    await take_over(api, agency, client)
    body = {"name": "Bella", "personal_phone": NUMBERS[0]}
    problem = await api.refusal("POST", f"{agency.path}/clients", body)
    assert (problem.status, problem.fields) == (422, ("personal_phone",))
    path = f"{agency.path}/clients/{client['id']}"
    assert (await api.refusal("PATCH", path, {"personal_phone": NUMBERS[0]})).fields == ("personal_phone",)


async def test_another_agencys_number_is_an_owners_phone_like_any_other(api):
    """A refusal would tell that the number is set up here."""
    other = await api.new_agency("Other")
    await take_over(api, other, await api.new_client(other))
    agency = await api.new_agency()
    answers = [
        await api.send("POST", f"{agency.path}/clients", {"name": "Bella", "personal_phone": phone}, token=agency.token)
        for phone in (NUMBERS[0], OWNER)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    client = answers[1].json()
    path = f"{agency.path}/clients/{client['id']}"
    changed = await api.patch(path, {"personal_phone": NUMBERS[0]})
    assert changed == client | {"personal_phone": NUMBERS[0]}


NIGHT = {
    "timezone": "Europe/London",
    "open": [{"days": ["mon", "tue"], "from": "22:00", "to": "06:00"}],
    "closed_mode": "owner_first",
}


def carriers_fallback(sandbox, services, e164=NUMBERS[0]):
    """What the carrier would be told to do."""
    url = sandbox.state.twilio.accounts[ACCOUNT_SID].number_called(e164)["voice_fallback_url"]
    assert url.startswith("https://fallback.example.com/fallback/voice?t=")
    return open_fallback(services.fallback_keyring, url.partition("?t=")[2])


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"personal_phone": "+14155550111"}, "phone", "+14155550111"),
        ({"name": "Bella & Co"}, "client_name", "Bella & Co"),
        ({"caller_id": "number"}, "caller_id", "number"),
        ({"routing": {"voicemail_greeting": "Hello."}}, "greeting", "Hello."),
        ({"routing": {"ring_seconds": 25}}, "ring_seconds", 25),
        ({"routing": {"screen": False}}, "screen", False),
        ({"routing": {"voicemail_seconds": 33}}, "voicemail_seconds", 33),
        ({"routing": {"mode": "voicemail"}}, "phone", None),
        ({"routing": {"on_failure": "voicemail"}}, "phone", None),
        ({"routing": {"mode": "owner_first"}}, "phone", OWNER),
        (
            {"routing": {"hours": NIGHT}},
            "ring_times",
            RingTimes("Europe/London", (("01", 1320, 360),), while_open=False),
        ),
        ({"routing": {"voicemail_greeting": "あ" * 1000}}, "greeting", None),
        ({"assistant": {"prompt": "x", "languages": ["de-DE"]}}, "language", "de-DE"),
    ],
)
async def test_what_the_static_fallback_says_and_does_changes_with_the_client(
    api, services, sandbox, change, field, value
):
    agency = await api.new_agency()
    client = await api.new_client(agency, personal_phone=OWNER, routing={"on_failure": "ring_through"})
    await take_over(api, agency, client)
    assert carriers_fallback(sandbox, services).phone == OWNER
    await api.patch(f"{agency.path}/clients/{client['id']}", change)
    assert getattr(carriers_fallback(sandbox, services), field) == value
    assert (await api.get(number_path(agency, NUMBERS[0])))["fallback"] == "ok"


async def test_a_change_that_the_fallback_does_not_know_of_asks_the_carrier_nothing(api, sandbox):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    await take_over(api, agency, client)
    asked = len(sandbox.state.requests_to("twilio"))
    await api.patch(f"{agency.path}/clients/{client['id']}", {"notify_email": "b@example.com", "provider": "vapi"})
    assert len(sandbox.state.requests_to("twilio")) == asked


async def test_a_carrier_that_cannot_be_told_leaves_the_number_marked_and_the_change_made(api, services, sandbox):
    agency = await api.new_agency()
    client = await api.new_client(agency, personal_phone=OWNER, routing={"on_failure": "ring_through"})
    await take_over(api, agency, client)
    path = f"{agency.path}/clients/{client['id']}"
    sandbox.state.faults.set("twilio", "503")
    assert (await api.patch(path, {"personal_phone": "+14155550111"}))["personal_phone"] == "+14155550111"
    assert (await api.get(number_path(agency, NUMBERS[0])))["fallback"] == "stale"
    assert carriers_fallback(sandbox, services).phone == OWNER
    sandbox.state.faults.clear()
    await api.patch(path, {})
    assert (await api.get(number_path(agency, NUMBERS[0])))["fallback"] == "ok"
    assert carriers_fallback(sandbox, services).phone == "+14155550111"


async def test_a_deleted_clients_number_is_taken_off_our_addresses(api, sandbox):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    await take_over(api, agency, client)
    path = f"{agency.path}/clients/{client['id']}"
    sandbox.state.faults.set("twilio", "503")
    assert (await api.refusal("DELETE", path)).name == "provider-unreachable"
    assert await api.get(path) == client
    sandbox.state.faults.clear()
    await api.delete(path)
    assert sandbox.state.twilio.accounts[ACCOUNT_SID].number_called(NUMBERS[0])["voice_url"] == ""
    assert (await api.refusal("GET", number_path(agency, NUMBERS[0]))).status == 404
