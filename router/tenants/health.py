"""How an agency is doing: who takes its calls, what is wrong and what to do about it, and what is still to be set up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from adapters.registry import Providers
from router.clock import Clock
from router.errors import require
from router.store.numbers.numbers import ABANDONED_AFTER
from router.store.pool import Database
from router.store.tenants.troubles import Kind, Standing, Trouble, find_standing, list_standings, list_troubles

Area: TypeAlias = Literal["keys", "balance", "lines", "numbers", "sync", "deliveries", "mail"]
Severity: TypeAlias = Literal["bad", "warn"]
State: TypeAlias = Literal["good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in words for people. `target` names it in the API: a key's kind, a number, or the id of a
    client or an endpoint; empty: the agency itself.
    """

    area: Area
    severity: Severity
    target: str
    name: str
    problem: str
    advice: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Setup:
    """What of an agency has been set up."""

    key: bool
    client: bool
    assistant: bool
    number: bool
    call: bool
    alerts: bool


@dataclass(frozen=True, slots=True)
class Health:
    """`answers`: the voice provider that is asked first; None: no key works, and no AI answers."""

    agency_id: str
    agency_name: str
    state: State
    answers: str | None
    sends_mail: bool
    setup: Setup
    items: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Meaning:
    """`problem` and `advice` may name the {provider} and what was {said}."""

    area: Area
    severity: Severity
    problem: str
    advice: str


_SAVE_KEY: Final = "Replace the key. Until then, calls go to the other providers, the owner's phone or the voicemail."
_CONFIRM: Final = "Open the link in the email that was sent there, or have it sent again. Emails wait for up to 7 days."
_MEANINGS: Final[dict[Kind, _Meaning]] = {
    "key_failing": _Meaning("keys", "bad", "{provider} refuses the key.{said}", _SAVE_KEY),
    "key_unproven": _Meaning(
        "keys",
        "bad",
        "Twilio signs its requests with a shared key that is not saved here, so they are refused.",
        "Save the shared key's id and secret with the Twilio key, or remove the webhook rule at Twilio. Until then, calls "
        "go to the fallback.",
    ),
    "out_of_credit": _Meaning(
        "balance",
        "bad",
        "No credit is left at {provider}.{said}",
        "Top up at {provider}. Calls return within minutes; nothing needs to be changed here.",
    ),
    "low_balance": _Meaning(
        "balance",
        "warn",
        "The balance at {provider} is low: ${said} left.",
        "Top up at {provider} before it is used up.",
    ),
    "lines_full": _Meaning(
        "lines",
        "warn",
        "All {said} lines at {provider} were in use at the last check.",
        "Calls beyond that go to the other providers, the owner's phone or the voicemail. Order more lines at {provider}.",
    ),
    "number_pending": _Meaning(
        "numbers", "bad", "The number was never set up completely.", "Add the number again: that completes it."
    ),
    "number_elsewhere": _Meaning(
        "numbers",
        "warn",
        "The number belongs to the database that this one is a copy of.",
        "Its calls are answered there. Remove it here if that is to stay so.",
    ),
    "number_drifted": _Meaning(
        "numbers",
        "bad",
        "The number was changed at Twilio.{said}",
        "The next check corrects it. If this stays, another program keeps changing it: stop that one.",
    ),
    "number_fallback_stale": _Meaning(
        "numbers",
        "warn",
        "Twilio does not have the number's newest fallback address yet.",
        "It is tried again. If this stays, save the client again.",
    ),
    "registration_missing": _Meaning(
        "numbers",
        "warn",
        "{provider} cannot take the number's calls.{said}",
        "Other providers take them, if there are any.",
    ),
    "assistant_failed": _Meaning(
        "sync",
        "bad",
        "The client's assistant could not be saved at {provider}.{said}",
        "Correct what {provider} objects to, then sync it again.",
    ),
    "assistant_gone": _Meaning(
        "sync", "bad", "The linked assistant does not exist at {provider} any more.", "Link another one, or unlink it."
    ),
    "endpoint_failing": _Meaning(
        "deliveries",
        "warn",
        "The address does not accept events: {said} attempts in a row failed.",
        "Look at its answers and mend the receiver. Events are sent again for a day.",
    ),
    "endpoint_gone": _Meaning(
        "deliveries",
        "warn",
        "The address answered that it is gone (410), and gets no more events.",
        "Resume it once it is back, or remove it.",
    ),
    "alert_email_undelivered": _Meaning(
        "mail",
        "warn",
        "Emails for alerts are not delivered.{said}",
        "Correct the address, or have its mail server accept these emails.",
    ),
    "alert_email_unconfirmed": _Meaning("mail", "warn", "The address for alerts has not confirmed yet.", _CONFIRM),
    "notify_email_undelivered": _Meaning(
        "mail",
        "warn",
        "Emails with messages are not delivered.{said}",
        "Correct the address, or have its mail server accept these emails.",
    ),
    "notify_email_unconfirmed": _Meaning("mail", "warn", "The address for messages has not confirmed yet.", _CONFIRM),
}
_AMOUNTS: Final = frozenset({"low_balance", "lines_full", "endpoint_failing"})


@dataclass(frozen=True, slots=True)
class HealthViews:
    """`sends_mail`: whether the service has a mail server."""

    database: Database
    providers: Providers
    sends_mail: bool
    clock: Clock

    async def show(self, agency_id: str) -> Health:
        """Raises NotFoundError."""
        pool = self.database.settings
        standing = require(await find_standing(pool, agency_id), "agency")
        return self._judge(standing, await list_troubles(pool, [agency_id], self.clock() - ABANDONED_AFTER))

    async def list_all(self, *, after: tuple[datetime, str] | None, limit: int) -> list[tuple[Health, datetime]]:
        """Of all agencies, the oldest first, with when each was created."""
        pool = self.database.settings
        standings = await list_standings(pool, after=after, limit=limit)
        troubles = await list_troubles(pool, [one.id for one in standings], self.clock() - ABANDONED_AFTER)
        return [
            (self._judge(one, [each for each in troubles if each.agency_id == one.id]), one.created_at)
            for one in standings
        ]

    def _judge(self, standing: Standing, troubles: Sequence[Trouble]) -> Health:
        answers = self._first_that_answers(standing)
        findings = [self.explain(trouble) for trouble in troubles]
        if not self.sends_mail and standing.alert_email is not None:
            findings.append(_no_mail(standing.alert_email))
        findings.sort(key=lambda found: found.severity)  # "bad" comes before "warn"
        if standing.has_key and answers is None:
            state: State = "bad"
        elif findings:
            state = findings[0].severity
        else:
            state = "good"
        return Health(
            agency_id=standing.id,
            agency_name=standing.name,
            state=state,
            answers=answers,
            sends_mail=self.sends_mail,
            setup=Setup(
                key=standing.has_key,
                client=standing.has_client,
                assistant=standing.has_assistant,
                number=standing.has_number,
                call=standing.has_call,
                alerts=standing.has_endpoint or (self.sends_mail and standing.alert_email is not None),
            ),
            items=tuple(findings),
        )

    def _first_that_answers(self, standing: Standing) -> str | None:
        others = self.providers if standing.fallback_providers is None else standing.fallback_providers
        return next((name for name in (standing.active_provider, *others) if name in standing.working), None)

    def explain(self, trouble: Trouble) -> Finding:
        """In words for people."""
        meaning, provider = _MEANINGS[trouble.kind], trouble.provider or ""
        label = self.providers.label(provider) if provider else ""
        said = trouble.said or ""
        if said and trouble.kind not in _AMOUNTS:
            said = f" {said[:1].upper()}{said[1:].rstrip('.')}."
        return Finding(
            area=meaning.area,
            severity=meaning.severity,
            target=trouble.target,
            name=label if trouble.name == provider else trouble.name,
            problem=meaning.problem.format(provider=label, said=said),
            advice=meaning.advice.format(provider=label),
            since=trouble.since,
        )


def _no_mail(address: str) -> Finding:
    return Finding(
        "mail",
        "warn",
        "",
        address,
        "This service sends no emails: no mail server is set.",
        "Ask the operator of the service to set CALLROUTER_SMTP_URL and CALLROUTER_MAIL_FROM, or use a webhook instead.",
        None,
    )
