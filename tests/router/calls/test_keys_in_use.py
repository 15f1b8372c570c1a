"""Each provider gets the agency's own key as it stands in the database now, and a key that does not open costs no call."""

from __future__ import annotations

import base64
import secrets
from itertools import cycle

import pytest

from adapters.sandbox.carrier import Script, Timeline
from crypto import Keyring, Secret, new_key_entry
from router.store.sealed import key_context
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall
from tests.support.world import PROVIDERS, Client, World

__all__ = ["captured_events"]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("little_patience")]

SOON = Script(caller="hangs-up-during-ai")
NEXT = dict(zip(PROVIDERS, (*PROVIDERS[1:], PROVIDERS[0]), strict=True))


@pytest.fixture
def world(clean_world: World) -> World:
    return clean_world


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_provider_gets_the_agencys_own_key_in_its_own_form_and_nowhere_else(world: World, provider):
    client = await world.add_client(providers=[provider])
    await world.call(client, SOON)
    (asked,) = world.sandbox.state.requests_to(provider, operation="handoff")
    key = client.keys[provider]
    assert getattr(world.sandbox.state, provider).key_of(asked) == key
    assert [key in value for value in asked.headers.values()].count(True) == 1
    assert not any(key in text for text in (asked.path, *asked.query.values(), asked.raw.decode()))


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_each_provider_of_a_ladder_gets_its_own_key_also_for_a_number_at_bland(world: World, provider):
    client = await world.add_client(providers=[provider, NEXT[provider]], bland_mode="number")
    world.sandbox.state.faults.set(provider, "503")
    await world.call(client, SOON)
    for name in client.keys:
        assert world.asked(name) == world.asked_with(client, name) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_changed_key_is_used_on_the_very_next_call(world: World, provider):
    client = await world.add_client(providers=[provider])
    await world.call(client, SOON)
    old, client.keys[provider] = client.keys[provider], f"key-just-saved-{secrets.token_hex(12)}"
    getattr(world.sandbox.state, provider).orgs.rotate(old, client.keys[provider])
    await world.save_key(client.agency_id, provider, client.keys[provider])
    timeline = await world.call(client, SOON)
    assert timeline.provider == provider
    assert world.asked_with(client, provider) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_deleted_key_is_not_used_on_the_very_next_call(world: World, provider):
    client = await world.add_client(providers=[provider])
    await world.call(client, SOON)
    await world.db.execute("DELETE FROM keys WHERE agency_id = $1", client.agency_id)
    timeline = await world.call(client, SOON)
    assert timeline.answered_by == "voicemail"
    assert world.asked_with(client, provider) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_changed_key_is_used_by_a_call_that_is_on_already(world: World, provider):
    first = NEXT[provider]
    client = await world.add_client(providers=[first, provider])
    call = PostedCall(world, client)
    document = (await call.ring()).body.decode()
    old, client.keys[provider] = client.keys[provider], f"key-just-saved-{secrets.token_hex(12)}"
    getattr(world.sandbox.state, provider).orgs.rotate(old, client.keys[provider])
    await world.save_key(client.agency_id, provider, client.keys[provider])
    assert (await call.go_on(document)).status == 200
    assert world.asked_with(client, provider) == 1


def flip_a_bit(envelope: str, place: float) -> str:
    """The envelope with one bit changed at that share of its length: the nonce, the ciphertext or the tag."""
    head, _, encoded = envelope.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    raw[int(place * (len(raw) - 1))] ^= 1
    return f"{head}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


async def damage(world: World, client: Client, provider: str, how: str) -> None:
    """Make the stored key one that does not open."""
    where = "agency_id = $1 AND kind = $2"
    sealed = await world.db.fetchval(f"SELECT sealed FROM keys WHERE {where}", client.agency_id, provider)  # noqa: S608
    match how:
        case "nonce changed":
            sealed = flip_a_bit(sealed, 0)
        case "ciphertext changed":
            sealed = flip_a_bit(sealed, 0.5)
        case "tag changed":
            sealed = flip_a_bit(sealed, 1)
        case "cut short":
            sealed = sealed[:40]
        case "no envelope":
            sealed = client.keys[provider]
        case "another key id":
            version, key_id, encoded = sealed.split(".")
            sealed = f"{version}.{key_id[::-1]}x.{encoded}"
        case "another platform key":
            stranger = Keyring.parse(new_key_entry())
            sealed = stranger.seal(Secret(client.keys[provider]), *key_context(client.agency_id, provider, 1))
        case "another version":
            sealed = world.keyring.seal(Secret(client.keys[provider]), *key_context(client.agency_id, provider, 2))
        case "another provider's":
            other = NEXT[provider]
            sealed = world.keyring.seal(Secret(client.keys[other]), *key_context(client.agency_id, other, 1))
    await world.db.execute(f"UPDATE keys SET sealed = $3 WHERE {where}", client.agency_id, provider, sealed)  # noqa: S608


# What opens a key knows no provider: each damage is done to the key of one of them, and each provider has several.
DAMAGES = (
    "nonce changed",
    "ciphertext changed",
    "tag changed",
    "cut short",
    "no envelope",
    "another key id",
    "another platform key",
    "another version",
    "another provider's",
)


@pytest.mark.parametrize(("how", "provider"), list(zip(DAMAGES, cycle(PROVIDERS), strict=False)))
async def test_a_key_that_does_not_open_is_said_loudly_and_costs_no_call(
    world: World, captured_events: CapturedEvents, provider, how
):
    client = await world.add_client(providers=[provider, NEXT[provider]])
    await damage(world, client, provider, how)
    timeline = await world.call(client, SOON)
    assert (timeline.answered_by, timeline.provider) == ("ai", NEXT[provider])
    assert world.asked(provider) == 0
    await assert_loud(world, captured_events, client, provider, timeline)


async def test_when_no_key_opens_the_caller_leaves_a_message(world: World, captured_events: CapturedEvents):
    client = await world.add_client(providers=PROVIDERS)
    for provider in PROVIDERS:
        await damage(world, client, provider, "another platform key")
    timeline = await world.call(client)
    assert (timeline.answered_by, timeline.failures) == ("voicemail", [])
    assert [line["kind"] for line in captured_events.named("key.unreadable")] == list(PROVIDERS)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_keys_swapped_between_two_agencies_open_for_neither(
    world: World, captured_events: CapturedEvents, provider
):
    ours, theirs = [await world.add_client(providers=[provider, NEXT[provider]]) for _ in range(2)]
    await world.db.execute(
        "UPDATE keys k SET sealed = o.sealed FROM keys o WHERE k.kind = $1 AND o.kind = $1 "
        "AND k.agency_id = ANY ($2) AND o.agency_id = ANY ($2) AND o.agency_id <> k.agency_id",
        provider,
        [ours.agency_id, theirs.agency_id],
    )
    for client in (ours, theirs):
        timeline = await world.call(client, SOON)
        assert (timeline.answered_by, timeline.provider) == ("ai", NEXT[provider])
        await assert_loud(world, captured_events, client, provider, timeline)
    assert world.asked(provider) == 0


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_two_agencies_on_one_platform_never_use_each_others_keys(world: World, provider):
    clients = [await world.add_client(providers=[provider, NEXT[provider]]) for _ in range(2)]
    for client in clients:
        assert (await world.call(client, SOON)).provider == provider
    world.sandbox.state.faults.set(provider, "401")
    for client in clients:
        assert (await world.call(client, SOON)).provider == NEXT[provider]
    for client in clients:
        assert [world.asked_with(client, name) for name in client.keys] == [2, 1]
    assert [world.asked(name) for name in (provider, NEXT[provider])] == [4, 2]


async def test_an_agency_without_a_key_does_not_borrow_one(world: World):
    rich = await world.add_client(providers=PROVIDERS)
    poor = await world.add_client(providers=PROVIDERS)
    await world.db.execute("DELETE FROM keys WHERE agency_id = $1", poor.agency_id)
    assert (await world.call(poor)).answered_by == "voicemail"
    assert [world.asked(provider) for provider in PROVIDERS] == [0] * len(PROVIDERS)
    assert (await world.call(rich, SOON)).answered_by == "ai"


async def test_a_carrier_token_that_does_not_open_is_said_loudly(world: World, captured_events: CapturedEvents):
    client = await world.add_client(providers=["vapi"], own_account=True)
    await damage(world, client, "twilio", "ciphertext changed")
    reply = await PostedCall(world, client).ring()
    assert reply.status == 403
    line = captured_events.only("key.unreadable")
    assert (line["agency_id"], line["kind"], line["level"]) == (client.agency_id, "twilio", "error")
    assert world.asked("vapi") == 0


async def assert_loud(
    world: World, captured: CapturedEvents, client: Client, provider: str, timeline: Timeline
) -> None:
    """One error line names the agency, the kind and the version; the timeline says that there was no key."""
    (line,) = [line for line in captured.named("key.unreadable") if line["agency_id"] == client.agency_id]
    assert (line["kind"], line["key_version"], line["level"]) == (provider, 1, "error")
    assert line["call_sid"] == timeline.call_sid
    events = await world.events(timeline)
    assert ("handoff.skipped", provider, "no_key") in events
    assert ("handoff.requested", provider, None) not in events
