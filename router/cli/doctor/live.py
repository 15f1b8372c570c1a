"""`callrouter doctor --live-call`: one real call per provider, to test what no documentation says.

Each call goes from one of the account's numbers to a client's number, listens for a while and hangs up. It changes no
settings: for each provider, and each of the ways in which calls reach it, it uses a client whose calls go there now. A way
without such a client is tried by a call to the provider itself, see `ways`. It costs what such calls cost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapters.base import ProviderError
from adapters.carrier import Carrier
from adapters.provider import Provider
from router.cli.doctor.findings import Finding, fine, hint, problem
from router.cli.doctor.ways import LISTEN, LONGEST_SECONDS, REQUEST_SECONDS, OpenAccount, Ways
from router.routing.ladder import current_mode, order_providers
from router.routing.route import Route, why_unready
from router.store.calls.calls import find_route
from router.store.pool import Connection
from router.vault import Vault

_PATIENCE_SECONDS: Final = 120.0  # from placing a call until its records must be complete
_POLL_SECONDS: Final = 1.0

_NUMBERS: Final = """
SELECT n.account_sid, n.e164,
       (SELECT o.e164 FROM numbers o
         WHERE o.account_sid = n.account_sid AND o.e164 <> n.e164 ORDER BY o.e164 LIMIT 1) AS caller
  FROM numbers n
 WHERE n.carrier = 'twilio' AND n.state = 'active'
 ORDER BY n.created_at
 LIMIT 500
"""

_CALL: Final = """
SELECT id, outcome, answered_by, started_at, answered_at, ended_at
  FROM calls
 WHERE account_sid = $1 AND to_number = $2 AND from_number = $3 AND started_at >= $4
 ORDER BY started_at DESC
 LIMIT 1
"""

_EVENTS: Final = "SELECT event, step, provider, reason, at FROM call_events WHERE call_id = $1 ORDER BY at"

_STEPS: Final = "SELECT step FROM call_steps WHERE call_id = $1"


@dataclass(frozen=True, slots=True)
class _Way:
    """A provider, and how its registrations are reached, where there are several ways."""

    provider: str
    mode: str | None


@dataclass(frozen=True, slots=True)
class LiveCheck:
    """Places the calls."""

    connection: Connection
    carrier: Carrier
    providers: Mapping[str, Provider[Any]]
    open_account: OpenAccount
    vault: Vault
    patience: float = _PATIENCE_SECONDS

    async def look(self) -> list[Finding]:
        routes = await self._list_routes()
        chosen: dict[_Way, tuple[Route, str]] = {}
        for route, caller, provider in routes:
            if provider is not None:
                chosen.setdefault(self._way(route, provider), (route, caller))
        findings: list[Finding] = []
        for way in self._ways():
            subject = f"live call to {way.provider}" + (f" by {way.mode}" if way.mode else "")
            if way in chosen:
                findings += await self._place(subject, way, *chosen[way])
            elif way.mode is not None:
                ways = Ways(self.connection, self.carrier, self.vault, self.open_account)
                # By redirect the client's number rings, so an AI has to answer it, and not the owner.
                usable = [(route, caller) for route, caller, first in routes if first or way.mode != "redirect"]
                findings.append(await ways.look(subject, self.providers[way.provider], way.mode, usable, self.patience))
            else:
                mend = "set up a client whose calls go there: `callrouter explain` shows what is missing"
                findings.append(hint(subject, "no client's calls go there now, so none was placed", mend))
        return findings

    def _ways(self) -> list[_Way]:
        forms = ((name, provider.registration_form) for name, provider in self.providers.items())
        return [
            _Way(name, mode)
            for name, form in forms
            for mode in ([mode for mode, _ in form.modes] if form and form.modes else [None])
        ]

    async def _list_routes(self) -> list[tuple[Route, str, str | None]]:
        """Numbers, each with one to call it from, and the provider where its calls go first."""
        routes: list[tuple[Route, str, str | None]] = []
        for row in await self.connection.fetch(_NUMBERS):
            route = await find_route(self.connection, row["account_sid"], row["e164"])
            if route is not None and row["caller"] is not None:
                routes.append((route, row["caller"], self._first_provider(route)))
        return routes

    def _way(self, route: Route, provider: str) -> _Way:
        form = self.providers[provider].registration_form
        return _Way(provider, route.access(provider).target.mode if form and form.modes else None)

    def _first_provider(self, route: Route) -> str | None:
        if current_mode(route, datetime.now(UTC)) != "ai":
            return None
        order = order_providers(route, self.providers)
        return next((name for name in order if why_unready(route, name, self.providers) is None), None)

    async def _place(self, subject: str, way: _Way, route: Route, caller: str) -> list[Finding]:
        account = await self.open_account(route.agency_id, route.account_sid)
        if account is None:
            return [problem(subject, "the account's token is missing or cannot be opened", "save the Twilio key again")]
        since = await self.connection.fetchval("SELECT now() - interval '1 second'")
        try:
            await self.carrier.place_call(
                account, caller, route.number, LISTEN, seconds=LONGEST_SECONDS, limit=REQUEST_SECONDS
            )
        except ProviderError as error:
            said = f" ({error.said})" if error.said else ""
            return [problem(subject, f"Twilio did not place it: {error}{said}", "fix the reason that Twilio gives")]
        call = await self._watch(way.provider, route, caller, since)
        if call is None:
            mend = "check the number's VoiceUrl, the public address and the proxy: see the findings above"
            return [problem(subject, f"the call to {route.number} did not arrive here", mend)]
        return await self._judge(subject, way, call)

    async def _watch(self, provider: str, route: Route, caller: str, since: datetime) -> Any:
        """The call once it is over and its provider has reported, or what is known when the time is up."""
        until = time.monotonic() + self.patience
        while True:
            call = await self.connection.fetchrow(_CALL, route.account_sid, route.number, caller, since)
            complete = call is not None and call["ended_at"] is not None and await self._reported(call["id"], provider)
            if complete or time.monotonic() >= until:
                return call
            await asyncio.sleep(min(_POLL_SECONDS, self.patience / 10))

    async def _reported(self, call_id: str, provider: str) -> bool:
        events = await self.connection.fetch(_EVENTS, call_id)
        return any(event["event"] in ("ai.ended", "ai.failed") and event["provider"] == provider for event in events)

    async def _judge(self, subject: str, way: _Way, call: Any) -> list[Finding]:
        provider = way.provider
        events = await self.connection.fetch(_EVENTS, call["id"])
        steps = {row["step"] for row in await self.connection.fetch(_STEPS, call["id"])}
        answered = next((e for e in events if e["event"] == "call.answered" and e["provider"] == provider), None)
        if answered is None:
            why = ", ".join(
                f"{e['event']} {e['reason'] or ''}".strip() for e in events if e["event"].startswith("handoff")
            )
            mend = "`callrouter explain` shows the cause, and the log has the details"
            return [problem(subject, f"the AI did not answer ({why or 'no provider was asked'})", mend)]
        seconds = (answered["at"] - call["started_at"]).total_seconds()
        findings = [fine(subject, f"the AI answered, {seconds:.1f} seconds after the call came in")]
        if await self._reported(call["id"], provider):
            findings.append(fine(subject, "the end was reported, with our ID of the call"))
        else:
            mend = "check the webhook address at the provider; calls work without it, but its failures go unnoticed"
            findings.append(hint(subject, "its end was not reported to us", mend))
        if way.mode != "redirect":  # after a redirect, the provider's document has no action of ours
            asks = any(step.startswith("ai-") for step in steps)
            when = "requests" if asks else "does not request"
            findings.append(fine(subject, f"Twilio {when} the action of the AI's leg after the caller has hung up"))
        if call["ended_at"] is None:
            mend = "check the number's StatusCallback"
            findings.append(hint(subject, "Twilio did not report the call's end", mend))
        return findings
