"""What a call runs through, put together: claims, steps, documents, the flow, the end, moving it to a person, the sweep."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from router.accounts import Accounts
from router.app.outside import Outside
from router.calls.claims import Caps, Claims
from router.calls.control import LiveCalls
from router.calls.desk import Desk, Timing
from router.calls.ending import Closer
from router.calls.events import CallEvents
from router.calls.flow import CallFlow
from router.calls.key_notes import KeyNotes
from router.calls.native import NativeCalls
from router.calls.once import StepKeeper
from router.calls.reports import Reports
from router.calls.sweep import OverdueCalls
from router.calls.transfer import Transfers
from router.calls.unseen import UnseenCalls
from router.messages.mailbox import Mailbox
from router.settings import Settings


@dataclass(frozen=True, slots=True)
class CallPath:
    """One of each, shared by all that tells us about calls."""

    events: CallEvents
    key_notes: KeyNotes
    claims: Claims
    closer: Closer
    flow: CallFlow
    mailbox: Mailbox
    transfers: Transfers
    native: NativeCalls
    reports: Reports
    overdue: OverdueCalls
    unseen: UnseenCalls


def make_call_path(settings: Settings, outside: Outside, accounts: Accounts, caps: Caps) -> CallPath:
    database, guard, recorder = outside.database, outside.guard, outside.recorder
    keyring, clock = outside.keyring, outside.clock
    key_notes = KeyNotes(database, recorder, clock)
    events = CallEvents(recorder, clock, key_notes)
    desk = Desk(
        keyring=keyring,
        recorder=recorder,
        events=events,
        timing=Timing(settings.sip_timeout, settings.ring_budget),
        base_path=urlsplit(settings.base_url).path,
        clock=clock,
    )
    steps = StepKeeper(database.calls, guard, keyring, recorder, clock, settings.answer_deadline)
    claims = Claims(
        database=database,
        guard=guard,
        memory=outside.memory,
        steps=steps,
        recorder=recorder,
        caps=caps,
        clock=clock,
    )
    closer = Closer(database=database, guard=guard, keyring=keyring, recorder=recorder, events=events, clock=clock)
    live_calls = LiveCalls(database, guard, outside.memory, keyring, outside.carrier, events, outside.platform, clock)
    flow = CallFlow(
        database=database,
        guard=guard,
        claims=claims,
        steps=steps,
        providers=outside.providers,
        dispatcher=outside.dispatcher,
        recorder=recorder,
        desk=desk,
        live_calls=live_calls,
        closer=closer,
        events=events,
        clock=clock,
    )
    transfers = Transfers(
        database=database,
        keyring=keyring,
        claims=claims,
        steps=steps,
        desk=desk,
        live_calls=live_calls,
        recorder=recorder,
        events=events,
        base_url=settings.base_url,
        clock=clock,
    )
    mailbox = Mailbox(database, guard, recorder, events, clock)
    reports = Reports(database, recorder, events, outside.dispatcher, clock)
    return CallPath(
        events=events,
        key_notes=key_notes,
        claims=claims,
        closer=closer,
        flow=flow,
        mailbox=mailbox,
        transfers=transfers,
        native=NativeCalls(database, recorder, events, reports, closer, clock),
        reports=reports,
        overdue=OverdueCalls(database, outside.carrier, accounts.open, closer, clock),
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
