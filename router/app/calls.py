"""Makes the objects that handle a call: claims, answers, documents, the flow, the end, transfers, the sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from router.accounts import Accounts
from router.app.outside import Outside
from router.calls.answers import Answers
from router.calls.callbacks import LegCallbacks
from router.calls.claims import Caps, Claims
from router.calls.documents import Documents
from router.calls.ending import Closer
from router.calls.events import CallEvents
from router.calls.fair_queue import FairQueue
from router.calls.flow import CallFlow
from router.calls.judging import LegJudge
from router.calls.key_notes import KeyNotes
from router.calls.live_calls import LiveCalls
from router.calls.native import NativeCalls
from router.calls.old_answers import OldAnswers
from router.calls.own_steps import OwnSteps
from router.calls.recovery import Recovery
from router.calls.reports import Reports
from router.calls.ring_budget import RingBudget
from router.calls.sweep import OverdueCalls
from router.calls.transfer import Transfers
from router.calls.unseen import UnseenCalls
from router.dialling import Dialling
from router.messages.mailbox import Mailbox
from router.settings import Settings

_CLAIMS_AT_ONCE: Final = 8  # fewer than connections for calls: what else a call asks finds one
_ENDS_AT_ONCE: Final = 3  # likewise: transfers and reports find one


@dataclass(frozen=True, slots=True)
class CallPath:
    """One object of each kind, shared by all the webhooks and jobs."""

    events: CallEvents
    key_notes: KeyNotes
    closer: Closer
    flow: CallFlow
    callbacks: LegCallbacks
    live_calls: LiveCalls
    recovery: Recovery
    mailbox: Mailbox
    transfers: Transfers
    native: NativeCalls
    reports: Reports
    overdue: OverdueCalls
    old_answers: OldAnswers
    unseen: UnseenCalls


def make_call_path(settings: Settings, outside: Outside, accounts: Accounts, caps: Caps) -> CallPath:
    database, guard, recorder = outside.database, outside.guard, outside.recorder
    keyring, clock = outside.keyring, outside.clock
    dialling = Dialling(settings.premium_prefixes)
    key_notes = KeyNotes(database, recorder, clock)
    events = CallEvents(recorder, clock, key_notes)
    ring_budget = RingBudget(settings.ring_budget, clock)
    documents = Documents(
        keyring=keyring,
        recorder=recorder,
        events=events,
        sip_timeout=settings.sip_timeout,
        ring_budget=ring_budget,
        dialling=dialling,
        base_path=urlsplit(settings.base_url).path,
        clock=clock,
    )
    own_steps = OwnSteps()
    answers = Answers(
        pool=database.calls,
        guard=guard,
        keyring=keyring,
        recorder=recorder,
        own_steps=own_steps,
        clock=clock,
        answer_deadline=settings.answer_deadline,
    )
    claims = Claims(
        database=database,
        guard=guard,
        memory=outside.memory,
        own_steps=own_steps,
        recorder=recorder,
        caps=caps,
        queue=FairQueue(_CLAIMS_AT_ONCE),
        clock=clock,
    )
    closer = Closer(
        database=database,
        guard=guard,
        keyring=keyring,
        recorder=recorder,
        events=events,
        queue=FairQueue(_ENDS_AT_ONCE),
        clock=clock,
    )
    live_calls = LiveCalls(
        database, guard, outside.memory, keyring, outside.live_carrier, events, outside.platform, clock
    )
    judge = LegJudge(
        database=database, guard=guard, recorder=recorder, events=events, circuits=outside.circuits, clock=clock
    )
    recovery = Recovery(database, guard, documents)
    flow = CallFlow(
        claims=claims,
        judge=judge,
        providers=outside.providers,
        dispatcher=outside.dispatcher,
        documents=documents,
        ring_budget=ring_budget,
        answers=answers,
        closer=closer,
        live_calls=live_calls,
        recovery=recovery,
        recorder=recorder,
        events=events,
        clock=clock,
    )
    callbacks = LegCallbacks(
        documents=documents, judge=judge, live_calls=live_calls, recorder=recorder, events=events, clock=clock
    )
    transfers = Transfers(
        database=database,
        keyring=keyring,
        claims=claims,
        answers=answers,
        documents=documents,
        live_calls=live_calls,
        recorder=recorder,
        events=events,
        dialling=dialling,
        base_url=settings.base_url,
        clock=clock,
    )
    mailbox = Mailbox(database, guard, recorder, events, clock)
    redirected = frozenset(name for name, provider in outside.providers.items() if provider.takes_redirects)
    reports = Reports(database, keyring, recorder, events, outside.circuits, clock, redirected)
    return CallPath(
        events=events,
        key_notes=key_notes,
        closer=closer,
        flow=flow,
        callbacks=callbacks,
        live_calls=live_calls,
        recovery=recovery,
        mailbox=mailbox,
        transfers=transfers,
        native=NativeCalls(database, recorder, events, reports, closer, clock),
        reports=reports,
        overdue=OverdueCalls(database, outside.carrier, accounts.open, closer, clock),
        old_answers=OldAnswers(database, clock),
        unseen=UnseenCalls(
            database=database,
            carrier=outside.carrier,
            open_account=accounts.open,
            closer=closer,
            keep_message=mailbox.keep,
            events=events,
            recorder=recorder,
            clock=clock,
        ),
    )
