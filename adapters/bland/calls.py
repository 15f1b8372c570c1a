"""Calls: an inbound session dialled by SIP, or a Bland number dialled as any number; key checks.

Bland docs: Create inbound session, SIP integration, Get inbound number. The assistant is on Bland's number (the
registration), so a target has none. That a carrier can dial the SIP edge with a session follows from two pages of these
docs, but none says so; mode "number" does not depend on it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from adapters.base import Handoff, InboundCall, KeyCheck, NumberHandoff, SipHandoff, Target, bad_request
from adapters.bland.api import Client, number_path
from adapters.facets import Missing
from adapters.phone import is_e164
from adapters.replies import find, is_sip_address, malformed, number

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,900}")


class Calls:
    """Takes a call whose number has a registration: the E.164 number at Bland that holds the assistant.

    A session is not a call yet: it expires by itself, and has no id by which to end it.
    """

    def missing(self, target: Target) -> Missing | None:
        return None if target.registration else "registration"

    async def hand_off(self, client: Client, call: InboundCall, target: Target) -> Handoff:
        registration = target.registration or ""
        if not is_e164(registration):
            raise bad_request("the registration at Bland is not an E.164 number")
        if target.mode == "number":
            return await _number(client, registration)
        return await _session(client, call, registration)

    async def check_key(self, client: Client) -> KeyCheck:
        reply = await client.send("GET", "/v1/me")
        if client.is_out_of_credit(reply):
            return KeyCheck("out_of_credit")
        balance = number(find(client.read_object(reply), "billing", "current_balance"))
        return KeyCheck("out_of_credit" if balance is not None and balance <= 0 else "valid", balance)


async def _session(client: Client, call: InboundCall, registration: str) -> SipHandoff:
    body = {"phone_number": registration, "request_data": {**call.variables, **call.metadata}}
    reply = await client.send("POST", "/v1/inbound/session", json=body)
    token = find(client.read_object(reply), "token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise malformed(reply)
    uri = f"sip:{registration}@{client.settings['sip']}?x-bland-session-id={quote(token, safe='')}"
    if not is_sip_address(uri):
        raise malformed(reply)
    return SipHandoff(uri)


async def _number(client: Client, registration: str) -> NumberHandoff:
    """Only checks that the key owns the number: dialling another one would be in vain."""
    client.read_object(await client.send("GET", number_path(registration)))
    return NumberHandoff(registration)
