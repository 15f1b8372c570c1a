"""Moving the service to another public address, and adopting a copy of its database."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from adapters.sandbox.world import ACCOUNT_SID
from router.clock import utc_now
from router.events.deliveries import Deliveries
from router.events.sending import Sender
from router.jobs import JobRunner, Turns
from router.mail import Letters, Mailer, read_smtp_url
from tests.router.api.client import ADMIN_TOKEN, PUBLIC_URL, Api, number_path
from tests.router.assistants.conftest import (
    PROVIDERS,
    api,
    bench,
    bulkheads,
    captured_events,
    circuits,
    clock,
    platform_keys,
    sandbox,
    services,
)
from tests.router.events.test_deliveries import Receiver, note
from tests.router.jobs.conftest import running
from tests.router.messages.test_mail import RECORDING, leave_message
from tests.support.mail_server import running_mail_server
from tests.support.serving import serve_app
from tests.support.waiting import wait_until

__all__ = [
    "api", "bench", "bulkheads", "captured_events", "circuits", "clock", "platform_keys", "sandbox", "services",
]  # fmt: skip

pytestmark = pytest.mark.anyio

NEW = "https://calls.new.example"
SF = "+14155550100"
OWNER = "+14155550188"
OPERATOR = {"authorization": f"Bearer {ADMIN_TOKEN}"}


class Estate:
    """An agency whose client has a number, and an assistant at each provider, all at the first address."""

    def __init__(self, bench, agency, client):
        self.bench, self.agency, self.client = bench, agency, client

    @property
    def number(self):
        """As Twilio has it."""
        subaccounts = [each for each in self.bench.sandbox.state.twilio.accounts.values() if each.parent]
        return subaccounts[0].number_called(SF)

    def outside(self):
        """All that Twilio and the providers have, as text."""
        vapi, retell, bland, elevenlabs = (self.bench.org(provider) for provider in PROVIDERS)
        agents = [versions[-1] for versions in retell.agents.values()]
        llms = [versions[-1] for versions in retell.llms.values()]
        return f"{self.number} {vapi} {agents} {llms} {bland} {elevenlabs}"

    def at(self, address):
        """The service with this address."""
        return replace(self.bench.services, public_url=address).areas

    def changes(self):
        """Requests that changed something outside."""
        asked = self.bench.sandbox.state.requests
        return [(each.method, each.path) for each in asked if each.method not in ("GET", "HEAD")]


@pytest.fixture
async def estate(bench):
    await bench.services.areas.address.look()
    async with bench.jobs():
        agency = await bench.agency(*PROVIDERS)
        client = await bench.client(agency, personal_phone=OWNER)
        order = {"country": "US", "client_id": client["id"], "e164": SF, "carrier": "twilio"}
        await bench.api.post(f"{agency.path}/numbers", order)
        for provider in PROVIDERS:
            await bench.wait(agency, provider)
    await bench.services.areas.number_jobs.look_at_all_due()
    bench.sandbox.state.requests.clear()
    return Estate(bench, agency, client)


async def move(areas):
    """As the command does; what is left then."""
    await areas.moving.begin()
    for _ in range(20):
        await areas.moving.carry_on()
        if not (progress := await areas.moving.look()).waiting:
            break
    return progress


async def test_everything_leads_to_the_new_address_after_a_move(estate):
    assert PUBLIC_URL in estate.outside()
    progress = await move(estate.at(NEW))
    assert (progress.numbers, progress.assistants, progress.unmoved) == (1, len(PROVIDERS), [])
    assert PUBLIC_URL not in estate.outside()
    assert estate.number["voice_url"] == f"{NEW}/webhooks/twilio/voice"
    shown = await estate.bench.api.get(number_path(estate.agency, SF))
    assert (shown["voice_url"], shown["status_url"], shown["drift"]) == (
        f"{NEW}/webhooks/twilio/voice", f"{NEW}/webhooks/twilio/status", None,
    )  # fmt: skip


async def test_a_second_move_finds_nothing_to_do(estate):
    await move(estate.at(NEW))
    estate.bench.sandbox.state.requests.clear()
    areas = estate.at(NEW)
    await areas.moving.begin()
    assert (await areas.moving.look()).unmoved == []
    await areas.moving.carry_on()
    assert estate.changes() == []


async def test_a_move_that_was_interrupted_is_finished_by_the_next_one_or_by_the_jobs(estate):
    await estate.at(NEW).moving.begin()  # and its process dies
    again = estate.at(NEW)
    assert {one.reason for one in (await again.moving.look()).unmoved} == {None}
    await again.number_jobs.look_at_all_due()
    progress = await move(again)
    assert progress.unmoved == []
    assert PUBLIC_URL not in estate.outside()


async def test_back_to_the_old_address_is_a_move_too(estate):
    await move(estate.at(NEW))
    await estate.at(NEW).moving.begin()
    progress = await move(estate.at(PUBLIC_URL))
    assert progress.unmoved == []
    assert NEW not in estate.outside()
    assert PUBLIC_URL in estate.outside()


async def test_a_number_that_cannot_be_moved_is_named_and_moved_once_it_can(estate):
    account = next(each for each in estate.bench.sandbox.state.twilio.accounts.values() if each.parent)
    connection = estate.bench.services.database.settings
    await connection.execute("UPDATE keys SET account_sid = 'ACgone' WHERE kind = 'subaccount'")
    (left,) = (await move(estate.at(NEW))).unmoved
    assert (left.name, left.reason) == (SF, "no token for its account")
    assert account.number_called(SF)["voice_url"].startswith(PUBLIC_URL)
    await connection.execute("UPDATE keys SET account_sid = $1 WHERE kind = 'subaccount'", account.sid)
    assert (await move(estate.at(NEW))).unmoved == []
    assert account.number_called(SF)["voice_url"].startswith(NEW)


async def test_a_managed_link_gets_the_new_address(estate):
    bench, path = estate.bench, f"{estate.agency.path}/clients/{estate.client['id']}/assistants/vapi"
    by_hand = bench.sandbox.state.vapi.add_assistant(bench.org("vapi"))
    await bench.api.put(path, {"remote_id": by_hand, "manage": ["webhook"]})
    assert PUBLIC_URL in str(bench.org("vapi").assistants[by_hand])
    assert (await move(estate.at(NEW))).unmoved == []
    assert NEW in str(bench.org("vapi").assistants[by_hand])


async def test_an_agency_cannot_change_what_is_outside_until_the_operator_has_decided(estate):
    undecided = replace(estate.bench.services, public_url=NEW)
    await undecided.areas.address.look()
    async with serve_app(_app(undecided)) as url, _client(url) as api:
        client = f"{estate.agency.path}/clients/{estate.client['id']}"
        order = {"country": "US", "client_id": estate.client["id"], "carrier": "twilio"}
        for method, path, body in (
            ("DELETE", number_path(estate.agency, SF), None),
            ("POST", f"{estate.agency.path}/numbers", order),
            ("DELETE", client, None),
            ("DELETE", estate.agency.path, None),
            ("PUT", f"{client}/assistants/vapi", {"remote_id": "assistant_1", "manage": []}),
        ):
            refused = await api.refusal(method, path, body)
            assert (refused.status, refused.name) == (409, "conflict"), path
            assert "callrouter move" in refused.detail
        await api.patch(client, {"personal_phone": "+14155550189"})
        await api.delete(f"{estate.agency.path}/keys/bland")
    assert estate.changes() == []


async def test_a_copy_touches_nothing_outside(estate):
    bench = estate.bench
    areas, connection = estate.at(NEW), bench.services.database.settings
    await areas.address.look()
    await areas.address.adopt()
    assert areas.address.differing is None
    copy = replace(bench.services, public_url=NEW)
    await copy.areas.address.look()
    before = estate.outside()
    async with serve_app(_app(copy)) as url, _client(url) as api:
        client = f"{estate.agency.path}/clients/{estate.client['id']}"
        shown = await api.get(number_path(estate.agency, SF))
        assert (shown["state"], shown["drift"]) == ("elsewhere", None)
        await api.patch(client, {"personal_phone": "+14155550189", "assistant": {"prompt": "Other."}})
        other = await api.new_client(estate.agency, assistant={"prompt": "A new client."})
        await _work(copy.areas)
        await api.patch(number_path(estate.agency, SF), {"client_id": other["id"]})
        await api.delete(number_path(estate.agency, SF))
        await api.delete(client)
        await _work(copy.areas)
        assert all(estate.client["id"] not in str(path) for _, path in estate.changes())
        assert await connection.fetchval("SELECT count(*) FROM numbers") == 0
        await api.delete(estate.agency.path)
    assert [path for _, path in estate.changes() if "Accounts" in path] == []
    number = estate.number
    assert number["voice_url"].startswith(PUBLIC_URL)
    assert before.count(PUBLIC_URL) == estate.outside().count(PUBLIC_URL)


async def test_a_copy_does_not_take_the_originals_assistants_for_its_own(estate):
    """Unlinked, and with a definition: the copy makes its own beside the original's."""
    bench, areas = estate.bench, estate.at(NEW)
    await areas.address.look()
    await areas.address.adopt()
    count = {provider: len(bench.assistants_at(provider)) for provider in ("vapi", "retell")}
    copy = replace(bench.services, public_url=NEW)
    async with serve_app(_app(copy)) as url, _client(url) as api:
        for provider in count:
            await api.delete(f"{estate.agency.path}/clients/{estate.client['id']}/assistants/{provider}")
        await _work(copy.areas)
    for provider, before in count.items():
        assert len(bench.assistants_at(provider)) == before + 1


def _app(services):
    return Starlette(routes=services.api_routes())


def _client(url):
    return Api.connect(url, ADMIN_TOKEN)


async def _work(areas):
    """What the jobs would do."""
    for _ in range(3):
        await areas.moving.carry_on()
        await areas.number_jobs.tidy_registrations()


@pytest.fixture(params=["retell", "bland"])
async def bought(request, bench):
    """A number that was bought at a provider: its agency's token, address here, and record there."""
    provider = request.param
    await bench.services.areas.address.look()
    agency = await bench.agency(provider)
    client = await bench.client(agency, personal_phone=OWNER)
    if provider == "retell":
        agent = bench.sandbox.state.retell.add_assistant(bench.org(provider))
        link = {"remote_id": agent, "manage": []}
        await bench.api.put(f"{agency.path}/clients/{client['id']}/assistants/retell", link)
    order = {"country": "US", "client_id": client["id"], "carrier": provider}
    e164 = (await bench.api.post(f"{agency.path}/numbers", order))["e164"]
    return agency, client, e164, lambda: bench.org(provider).numbers.get(e164)


async def test_a_number_of_a_providers_own_gets_the_new_webhook_address_once(bench, bought):
    _, _, _, there = bought
    assert PUBLIC_URL in str(there())
    areas = replace(bench.services, public_url=NEW).areas
    assert (await move(areas)).unmoved == []
    assert (PUBLIC_URL in str(there()), NEW in str(there())) == (False, True)
    bench.sandbox.state.requests.clear()
    await move(areas)
    assert not [each for each in bench.sandbox.state.requests if each.method != "GET"]


async def test_a_copy_leaves_a_number_of_a_providers_own_as_it_is(bench, bought):
    agency, client, e164, there = bought
    before, copy = str(there()), replace(bench.services, public_url=NEW)
    await copy.areas.address.look()
    await copy.areas.address.adopt()
    async with serve_app(_app(copy)) as url, _client(url) as api:
        await api.patch(f"{agency.path}/clients/{client['id']}", {"personal_phone": "+14155550189"})
        await _work(copy.areas)
        assert (await api.get(number_path(agency, e164)))["state"] == "elsewhere"
        await api.delete(number_path(agency, e164))
        await _work(copy.areas)
    assert str(there()) == before, "it is neither changed nor given back"


@pytest.mark.parametrize("decision", ["move", "adopt"])
async def test_mail_and_outgoing_webhooks_wait_and_leave_only_from_the_original(
    api, services, sandbox, database_dsn, monkeypatch, decision
):
    monkeypatch.setattr("router.jobs.runner._WAIT_SECONDS", 0)
    await services.areas.address.look()
    receiver, asked = Receiver(), []
    hook = Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])
    async with running_mail_server() as server, serve_app(hook) as url:
        agency = await leave_message(api, services, sandbox)
        await api.post(f"{agency.path}/endpoints", {"url": f"{url}/hook"})
        await note(services, "e1")
        undecided = replace(services, public_url=NEW).areas
        await undecided.address.look()

        async def must_wait():
            asked.append(True)
            return await undecided.address.must_wait()

        runner = JobRunner(database_dsn, must_wait=must_wait)
        mailer = Mailer(read_smtp_url(f"smtp://127.0.0.1:{server.port}"), "calls@example.com")
        letters = Letters(mailer, services.database, 100)
        letters.register(runner)
        undecided.message_mail.register(runner, letters)
        turns = Turns(services.database, utc_now)
        sender = Sender(services.keyring, services.receivers, utc_now)
        deliveries = Deliveries(services.database, sender, utc_now, turns)
        deliveries.register(runner)
        await undecided.message_mail.post_due(letters)
        await deliveries.fan_out([agency.id])
        async with running(runner):
            await wait_until(lambda: len(asked) > 4)
            assert (server.mails, receiver.taken) == ([], [])
            await (undecided.moving.begin() if decision == "move" else undecided.address.adopt())
            await wait_until(lambda: _has_left(services.database))
    left = 1 if decision == "move" else 0
    assert (len(server.mails), len(receiver.taken)) == (left, left)
    (shown,) = (await api.get(f"{agency.path}/endpoints"))["items"]
    assert shown["paused"] == (decision == "adopt")


async def test_deleting_a_message_in_a_copy_leaves_its_recording(api, services, sandbox):
    await services.areas.address.look()
    agency = await leave_message(api, services, sandbox)
    copy = replace(services, public_url=NEW)
    await copy.areas.address.look()
    async with serve_app(_app(copy)) as url, _client(url) as at_copy:
        path = f"{agency.path}/voicemails/voicemail_1"
        assert (await at_copy.refusal("DELETE", path)).name == "conflict", "it is open whose it is"
        await copy.areas.address.adopt()
        assert (await at_copy.http.get(f"{path}/audio", headers=OPERATOR)).status_code == 200
        await at_copy.delete(path)
        assert (await at_copy.get(f"{agency.path}/voicemails"))["items"] == []
    (account,) = [each for each in sandbox.state.twilio.accounts.values() if each.sid == ACCOUNT_SID]
    assert list(account.recordings) == [RECORDING]


async def _has_left(database):
    """Nothing waits in the queue, and no letter or delivery."""
    waiting = """
        SELECT (SELECT count(*) FROM pgqueuer) + (SELECT count(*) FROM letters)
             + (SELECT count(*) FROM deliveries WHERE state = 'waiting')
    """
    return await database.settings.fetchval(waiting) == 0
