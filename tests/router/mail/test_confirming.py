"""Mail goes only to addresses that confirmed, and not to strangers whom an agency names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from adapters.sandbox.carrier import Script
from tests.support.mail_server import MailServer, running_mail_server
from tests.support.waiting import wait_until
from tests.support.world import ADMIN_TOKEN, Client, World, open_world

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
DAY = 24 * 3600
SOON = timedelta(minutes=3)  # longer than an attempt under way


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with running_mail_server() as server:
        yield server


@pytest.fixture
async def world(database_dsn: str, tmp_path: Path, server: MailServer) -> AsyncIterator[World]:
    mail: dict[str, Any] = {"smtp_url": SecretStr(f"smtp://127.0.0.1:{server.port}"), "mail_from": "calls@example.com"}
    async with open_world(database_dsn, tmp_path, jobs=True, mails_an_hour=4, **mail) as world:
        yield world


class Tenant:
    """An agency with a client, its own token, and what people got from it."""

    def __init__(self, world: World, server: MailServer, client: Client, token: str) -> None:
        self.world, self.server, self.client, self.token = world, server, client, token
        self.path = f"/v1/agencies/{client.agency_id}"

    async def patch(self, path: str, body: dict[str, Any], *, token: str | None = None) -> dict[str, Any]:
        reply = await self.world.http.patch(
            f"{self.world.urls[0]}{path}", json=body, headers={"Authorization": f"Bearer {token or self.token}"}
        )
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def save(self, address: str | None, *, token: str | None = None) -> dict[str, Any]:
        return await self.patch(f"{self.path}/clients/{self.client.client_id}", {"notify_email": address}, token=token)

    async def ask_again(self, field: str) -> httpx.Response:
        """For the link by which the address in that field confirms."""
        place = self.path if field == "alert_email" else f"{self.path}/clients/{self.client.client_id}"
        return await self.world.http.post(
            f"{self.world.urls[0]}{place}/confirmations",
            json={"field": field},
            headers={"Authorization": f"Bearer {self.token}"},
        )

    async def leave_message(self, words: str) -> None:
        """Its mail is posted then."""
        await self.world.call(self.client, Script(message_says=words))
        unposted = """
            SELECT EXISTS (SELECT FROM voicemails WHERE mail_state = 'new')
                OR EXISTS (SELECT FROM pgqueuer WHERE entrypoint = 'voicemails.mail')
        """

        async def is_posted() -> bool:
            return not await self.world.db.fetchval(unposted)

        await wait_until(is_posted)

    def links(self, address: str = OWNER) -> list[str]:
        found = [mail for mail in self.server.mails if mail.recipients == [address] and is_link(mail)]
        return [re.search(r"http://\S+/confirm\?t=\S+", body_of(mail))[0] for mail in found]

    async def wait_for_link(self, address: str = OWNER) -> str:
        await wait_until(lambda: self.links(address))
        return self.links(address)[-1]

    def messages(self) -> list[str]:
        return [body_of(mail) for mail in self.server.mails if not is_link(mail)]

    async def waiting(self) -> int:
        """Letters that wait for the address or the hour."""
        agency_id = self.client.agency_id
        return await self.world.db.fetchval(
            "SELECT count(*) FROM letters WHERE agency_id = $1 AND due_at > $2", agency_id, self.world.clock() + SOON
        )

    async def look_again(self) -> None:
        """As time does: each agency has its turn when its next letter is due."""
        busy = "SELECT EXISTS (SELECT FROM pgqueuer WHERE entrypoint = 'mail.send' AND status <> 'queued')"

        async def are_turns_over() -> bool:
            return not await self.world.db.fetchval(busy)

        await wait_until(are_turns_over)
        await self.world.db.execute("UPDATE pgqueuer SET execute_after = now() WHERE entrypoint = 'mail.send'")

    async def idle(self) -> bool:
        return not await self.world.db.fetchval(
            "SELECT count(*) FROM letters WHERE due_at <= $1", self.world.clock() + SOON
        )


def is_link(mail: Any) -> bool:
    return mail.message["Subject"] == "Confirm your email address"


def body_of(mail: Any) -> str:
    return mail.message.get_body().get_content()


@pytest.fixture
async def tenant(world: World, server: MailServer) -> Tenant:
    return await add_tenant(world, server)


async def add_tenant(world: World, server: MailServer) -> Tenant:
    client = await world.add_client(routing={"mode": "voicemail", "transcribe": False})
    reply = await world.http.post(
        f"{world.urls[0]}/v1/agencies/{client.agency_id}/tokens",
        json={"name": "tests"},
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    return Tenant(world, server, client, reply.json()["token"])


async def press_button(http: httpx.AsyncClient, link: str) -> httpx.Response:
    """As a browser does with the page's form."""
    page = await http.get(link)
    form = re.search(
        r'<form method="post" action="([^"]+)">\s*<input type="hidden" name="t" value="([^"]+)">', page.text
    )
    assert page.status_code == 200
    assert form is not None
    return await http.post(httpx.URL(link).join(form[1]), data={"t": form[2]})


async def test_an_address_gets_a_link_first_and_what_waited_once_it_has_confirmed(tenant: Tenant) -> None:
    assert (await tenant.save(OWNER))["notify_email_confirmed"] is False
    link = await tenant.wait_for_link()
    await tenant.leave_message("Please call me back.")
    await wait_until(tenant.waiting)
    assert tenant.messages() == []
    reply = await press_button(tenant.world.http, link)
    assert (reply.status_code, "can now send emails to owner@example.com" in reply.text) == (200, True)
    await wait_until(tenant.messages)
    assert "Acme Plumbing has a new message" in tenant.messages()[0]
    await tenant.leave_message("And another one.")
    await wait_until(lambda: len(tenant.messages()) == 2)
    assert (await tenant.save(OWNER))["notify_email_confirmed"] is True
    assert len(tenant.links()) == 1


async def test_opening_a_link_confirms_nothing(tenant: Tenant) -> None:
    await tenant.save(OWNER)
    link = await tenant.wait_for_link()
    for method in ("GET", "HEAD", "GET"):
        assert (await tenant.world.http.request(method, link)).status_code == 200
    assert (await tenant.save(OWNER))["notify_email_confirmed"] is False


async def test_an_address_entered_by_the_operator_counts_as_confirmed(tenant: Tenant) -> None:
    assert (await tenant.save(OWNER, token=ADMIN_TOKEN))["notify_email_confirmed"] is True
    await tenant.leave_message("Please call me back.")
    await wait_until(tenant.messages)
    assert tenant.links() == []


async def test_another_address_has_to_confirm_anew(tenant: Tenant) -> None:
    await tenant.save(OWNER)
    await press_button(tenant.world.http, await tenant.wait_for_link())
    assert (await tenant.save("stranger@example.com"))["notify_email_confirmed"] is False
    await tenant.wait_for_link("stranger@example.com")
    await tenant.leave_message("Buy now!")
    await wait_until(tenant.waiting)
    assert tenant.messages() == []
    assert (await tenant.save(OWNER))["notify_email_confirmed"] is False
    assert (await tenant.save(None))["notify_email_confirmed"] is None


async def test_a_confirmation_counts_for_one_agency_and_one_address(world: World, server: MailServer) -> None:
    first, second = await add_tenant(world, server), await add_tenant(world, server)
    await first.save(OWNER)
    await press_button(world.http, await first.wait_for_link())
    assert (await second.save(OWNER))["notify_email_confirmed"] is False
    await wait_until(lambda: len(first.links()) == 2)
    await first.patch(first.path, {"alert_email": OWNER})
    shown = await first.patch(first.path, {"alert_email": "other@example.com"})
    assert shown["alert_email_confirmed"] is False


async def test_alerts_wait_for_the_address_too(tenant: Tenant) -> None:
    shown = await tenant.patch(tenant.path, {"alert_email": "alerts@example.com"})
    assert shown["alert_email_confirmed"] is False
    link = await tenant.wait_for_link("alerts@example.com")
    await press_button(tenant.world.http, link)
    assert (await tenant.patch(tenant.path, {}))["alert_email_confirmed"] is True


async def test_a_mailbox_gets_one_link_in_a_day(tenant: Tenant) -> None:
    """In whichever spelling of its address: which one is current when the link is sent is a matter of time."""

    def count() -> int:
        return len([mail for mail in tenant.server.mails if is_link(mail)])

    for address in (OWNER, "owner+1@example.com", "OWNER@example.com", None, OWNER):
        await tenant.save(address)
    await wait_until(count)
    await wait_until(tenant.idle)
    assert count() == 1
    tenant.world.clock.advance(DAY)
    await tenant.save(OWNER)
    await wait_until(lambda: count() == 2)


async def test_a_link_is_sent_again_on_request_once_a_day(tenant: Tenant) -> None:
    await tenant.save(OWNER)
    await tenant.wait_for_link()
    refused = await tenant.ask_again("notify_email")
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/rate-limited")
    assert DAY - 600 < int(refused.headers["Retry-After"]) <= DAY
    tenant.world.clock.advance(DAY)
    reply = await tenant.ask_again("notify_email")
    assert (reply.status_code, reply.json()) == (200, {"field": "notify_email", "address": OWNER})
    await wait_until(lambda: len(tenant.links()) == 2)
    assert (await tenant.ask_again("notify_email")).status_code == 429
    await press_button(tenant.world.http, tenant.links()[1])
    refused = await tenant.ask_again("notify_email")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")


async def test_the_link_for_alerts_is_sent_again_on_request(tenant: Tenant) -> None:
    await tenant.patch(tenant.path, {"alert_email": "alerts@example.com"})
    await tenant.wait_for_link("alerts@example.com")
    tenant.world.clock.advance(DAY)
    reply = await tenant.ask_again("alert_email")
    assert reply.json() == {"field": "alert_email", "address": "alerts@example.com"}
    await wait_until(lambda: len(tenant.links("alerts@example.com")) == 2)


@pytest.mark.parametrize("field", ["alert_email", "notify_email"])
async def test_without_an_address_there_is_no_link_to_send_again(tenant: Tenant, field: str) -> None:
    refused = await tenant.ask_again(field)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    assert "no address" in refused.json()["detail"]


async def test_a_link_is_not_sent_again_once_the_mails_of_the_hour_are_used_up(tenant: Tenant) -> None:
    clock = tenant.world.clock
    clock.advance(60 * ((90 - clock().minute) % 60))  # to half past: the test does not see the hour end
    await tenant.save(OWNER)
    await tenant.wait_for_link()
    clock.advance(DAY)
    statement = (
        "INSERT INTO mail_counts (agency_id, hour, sent) VALUES ($1, date_trunc('hour', $2::timestamptz, 'UTC'), 4)"
    )
    await tenant.world.db.execute("DELETE FROM mail_counts")
    await tenant.world.db.execute(statement, tenant.client.agency_id, clock())
    refused = await tenant.ask_again("notify_email")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) <= 3600
    clock.advance(3600)
    assert (await tenant.ask_again("notify_email")).status_code == 200


async def test_another_agencys_client_gets_no_link(world: World, server: MailServer) -> None:
    first, second = await add_tenant(world, server), await add_tenant(world, server)
    first.token = second.token
    assert (await first.ask_again("alert_email")).status_code == 404
    assert (await first.ask_again("notify_email")).status_code == 404


async def test_a_link_is_valid_for_seven_days(tenant: Tenant) -> None:
    await tenant.save(OWNER)
    link = await tenant.wait_for_link()
    tenant.world.clock.advance(7 * DAY)
    for method in ("GET", "POST"):
        assert (await tenant.world.http.request(method, link)).status_code == 410
    assert (await tenant.save(OWNER))["notify_email_confirmed"] is False


async def test_a_link_of_an_address_that_is_no_longer_used_is_not_valid(tenant: Tenant) -> None:
    await tenant.save(OWNER)
    link = await tenant.wait_for_link()
    await tenant.save(None)
    assert (await tenant.world.http.post(link)).status_code == 410


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "A" * 5000, "é"])
async def test_what_is_not_a_link_of_ours_confirms_nothing(world: World, token: str) -> None:
    for method in ("GET", "POST"):
        reply = await world.http.request(method, f"{world.urls[0]}/confirm", params={"t": token})
        assert (reply.status_code, "no longer valid" in reply.text) == (410, True)


async def test_after_too_many_wrong_links_only_a_right_one_passes(tenant: Tenant) -> None:
    http, page = tenant.world.http, f"{tenant.world.urls[0]}/confirm"
    methods = ["GET", "POST"] * 6
    replies = [await http.request(method, page, params={"t": f"guess-{place}"}) for place, method in enumerate(methods)]
    assert [reply.status_code for reply in replies] == [410] * 10 + [429] * 2
    assert int(replies[-1].headers["Retry-After"]) > 0
    await tenant.save(OWNER)
    reply = await press_button(http, await tenant.wait_for_link())
    assert (reply.status_code, "can now send emails" in reply.text) == (200, True)


async def test_a_link_that_was_changed_confirms_nothing(tenant: Tenant) -> None:
    await tenant.save(OWNER)
    link = await tenant.wait_for_link()
    token = parse_qs(urlsplit(link).query)["t"][0]
    assert OWNER not in link
    changed = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
    reply = await tenant.world.http.post(link.partition("?")[0], params={"t": changed})
    assert reply.status_code == 410


async def test_a_message_waits_seven_days_and_is_then_undelivered(tenant: Tenant) -> None:
    await tenant.save(OWNER)
    await tenant.wait_for_link()
    await tenant.leave_message("Please call me back.")
    await wait_until(tenant.waiting)
    tenant.world.clock.advance(7 * DAY)
    await tenant.look_again()

    async def state() -> bool:
        return await tenant.world.db.fetchval("SELECT mail_state FROM voicemails") == "undelivered"

    await wait_until(state)
    assert tenant.messages() == []


async def test_a_mail_that_cannot_be_delivered_shows_at_the_client_until_one_can(tenant: Tenant) -> None:
    assert (await tenant.save(OWNER, token=ADMIN_TOKEN))["problems"] == []
    tenant.server.refusals = ["550 no such person"]
    await tenant.leave_message("Please call me back.")

    async def problems() -> list[str]:
        return (await tenant.patch(f"{tenant.path}/clients/{tenant.client.client_id}", {}))["problems"]

    await wait_until(problems)
    refused = ["Emails to owner@example.com are not delivered: the mail server refuses the address (550)."]
    assert await problems() == refused
    assert (await tenant.save(OWNER, token=ADMIN_TOKEN))["problems"] == refused
    assert (await tenant.save("other@example.com", token=ADMIN_TOKEN))["problems"] == []
    tenant.server.refusals = ["550 no such person"]
    await tenant.leave_message("And again.")
    await wait_until(problems)
    await tenant.leave_message("And once more.")
    await wait_until(tenant.messages)

    async def is_solved() -> bool:
        return await problems() == []

    await wait_until(is_solved)


async def test_a_link_that_cannot_be_delivered_shows_wherever_its_address_is_used(tenant: Tenant) -> None:
    tenant.server.refusals = ["550 no such person"]
    await tenant.save(OWNER)
    await tenant.patch(tenant.path, {"alert_email": OWNER})

    async def shown() -> bool:
        client = await tenant.patch(f"{tenant.path}/clients/{tenant.client.client_id}", {})
        agency = await tenant.patch(tenant.path, {})
        return bool(client["problems"] and agency["problems"])

    await wait_until(shown)


async def test_an_agency_sends_so_many_mails_in_an_hour_and_the_rest_later(world: World, server: MailServer) -> None:
    world.clock.advance(60 * ((90 - world.clock().minute) % 60))  # to half past: the test does not see the hour end
    first, second = await add_tenant(world, server), await add_tenant(world, server)
    await first.save(OWNER, token=ADMIN_TOKEN)
    await second.save("second@example.com", token=ADMIN_TOKEN)
    for number in range(6):
        await first.leave_message(f"Message {number}.")
    await second.leave_message("From another agency.")
    await wait_until(lambda: len(server.mails) == 5)
    await wait_until(first.idle)
    assert sorted(mail.recipients[0] for mail in server.mails) == [OWNER] * 4 + ["second@example.com"]
    assert await first.waiting() == 2
    world.clock.advance(3600)
    await first.look_again()
    await wait_until(lambda: len(server.mails) == 7)


async def test_the_name_of_an_agency_is_no_room_for_a_message(tenant: Tenant) -> None:
    await tenant.patch(
        tenant.path, {"name": "You won! Collect it at https://evil.example/prize, today, or mail me@evil.example"}
    )
    await tenant.save(OWNER)
    link = await tenant.wait_for_link()
    text = body_of(tenant.server.mails[0]).replace(link, "")
    assert "You won Collect it at https evil example uses callrouter" in text
    assert "://" not in text
    assert "evil.example" not in text
