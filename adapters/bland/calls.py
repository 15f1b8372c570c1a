"""Calls: redirected to the address that Bland's import wrote, or an inbound session dialled by SIP, or a Bland number
dialled as any number; key checks.

Bland docs: Get inbound number, Create inbound session, SIP integration. The assistant is on Bland's number (the
registration), so a target has none. The address is not documented, but is what Bland itself gives the carrier for each
imported number. That a carrier can dial the SIP edge with a session follows from two pages of these docs, but none says
so, and only a number that was attached there is taken.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlencode

from adapters.base import (
    Handoff,
    InboundCall,
    KeyCheck,
    NumberHandoff,
    OpenedTarget,
    RedirectHandoff,
    SipHandoff,
    Target,
    bad_request,
)
from adapters.bland.api import Client, number_path
from adapters.bland.imports import is_import_address
from adapters.facets import Missing
from adapters.phone import is_e164
from adapters.replies import find, is_sip_address, malformed, number
from crypto.secret import Secret

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,900}")


class Calls:
    """Takes a call whose number has a registration: the E.164 number at Bland that holds the assistant.

    Whichever way it goes, Bland is asked first: a key that it refuses leaves the call to the next rung. A session is not
    a call yet: it expires by itself, and has no id by which to end it.
    """

    def missing(self, target: Target) -> Missing | None:
        awaits_address = target.mode == "redirect" and target.sealed_address is None
        return None if target.registration and not awaits_address else "registration"

    async def hand_off(self, client: Client, call: InboundCall, target: Target) -> Handoff:
        registration = target.registration or ""
        if not is_e164(registration):
            raise bad_request("the registration at Bland is not an E.164 number")
        if target.mode == "redirect":
            if not isinstance(target, OpenedTarget) or not is_import_address(target.address):
                raise bad_request("the address that Bland's import wrote on the number is not known")
            await _prove_ownership(client, registration)
            return RedirectHandoff(_with_variables(target.address, call))
        if target.mode == "number":
            await _prove_ownership(client, registration)
            return NumberHandoff(registration)
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


async def _prove_ownership(client: Client, registration: str) -> None:
    """Check that the key owns the number: handing a call to another one would be in vain."""
    client.read_object(await client.send("GET", number_path(registration)))


def _with_variables(address: Secret, call: InboundCall) -> Secret:
    """Further parameters of the address become variables of the call, as the session's `request_data` does."""
    return Secret(
        f"{address.reveal().partition('#')[0]}&{urlencode({**call.variables, **call.metadata}, quote_via=quote)}"
    )
