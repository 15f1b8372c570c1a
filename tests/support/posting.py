"""Twilio's requests one by one, for tests that repeat, delay or reorder them: signed as Twilio does, posted over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

from adapters.sandbox.api import new_id
from adapters.sandbox.carrier import Quirks
from adapters.sandbox.carrier.parameters import inbound_parameters
from adapters.sandbox.carrier.requests import Reply, Requests
from crypto import Secret
from tests.support.signed_requests import VOICE
from tests.support.world import CALLER, Client, World

NOT_ANSWERED = {"CallStatus": "ringing", "DialCallStatus": "failed", "DialBridged": "false"}


@dataclass(slots=True)
class PostedCall:
    """One caller on the line of a client's number."""

    world: World
    client: Client
    call_sid: str = field(default_factory=lambda: new_id("CA"))

    @property
    def parameters(self) -> dict[str, str]:
        return inbound_parameters(
            account_sid=self.client.account_sid,
            call_sid=self.call_sid,
            caller=CALLER,
            called=self.client.number,
            status="ringing",
            token="token-of-the-call",
            forwarded_from=None,
        )

    async def ring(self, *, replica: int = 0) -> Reply:
        """The call comes in, or comes in again."""
        return await self.post(VOICE, replica=replica)

    async def go_on(self, document: str, *, replica: int = 0, **more: str) -> Reply:
        """A document's only verb is done; by default nobody answered its leg."""
        return await self.post(action_of(document), replica=replica, **(NOT_ANSWERED | more))

    async def post(self, path: str, *, replica: int = 0, **more: str) -> Reply:
        """A request signed for the address of the replica that it reaches."""
        sender = Requests(self.world.http, Secret(self.client.auth_token), Quirks())
        (reply,) = await sender.send("POST", urljoin(self.world.urls[replica], path), self.parameters | more)
        return reply


async def at_once(count: int, ask: Callable[[int], Awaitable[Reply]]) -> list[Reply]:
    """The replies to so many requests that are on their way at the same time; `ask` gets their number."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(number)) for number in range(count)]
    return [task.result() for task in tasks]


def only_document(replies: list[Reply]) -> str:
    """The document that all of them have; fails unless each is a 200 with it."""
    assert {(reply.status, reply.content_type.partition(";")[0]) for reply in replies} == {(200, "text/xml")}
    (body,) = {reply.body for reply in replies}
    return body.decode()


def action_of(document: str) -> str:
    """Where the document's first verb leads."""
    return ET.fromstring(document)[0].attrib["action"]  # noqa: S314  (our own)


def taker_of(document: str) -> str:
    """Who is to take the call: a provider by name, owner (any other phone), voicemail, or nobody."""
    verbs = ET.fromstring(document)  # noqa: S314  (our own)
    if verbs.find("Record") is not None:
        return "voicemail"
    if verbs.find("Redirect") is not None:
        return "bland"
    stream = verbs.find("Connect/Stream")
    if stream is not None:
        return "elevenlabs" if ".elevenlabs.io/" in stream.attrib["url"] else "vapi"
    sip = verbs.findtext("Dial/Sip", "")
    if sip:
        return "retell" if "@sip.retellai.com" in sip else "bland"
    return "owner" if verbs.find("Dial/Number") is not None else "nobody"


def takers_of(replies: list[Reply]) -> list[str]:
    """Likewise for several replies, which may differ; fails unless each is a 200 with a document."""
    assert {(reply.status, reply.content_type.partition(";")[0]) for reply in replies} == {(200, "text/xml")}
    return [taker_of(reply.body.decode()) for reply in replies]
