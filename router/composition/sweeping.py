"""The sweep, put together: what looks up at the carrier the calls that we did not see, or not to their end."""

from __future__ import annotations

from router.accounts import Accounts
from router.calls.ending import Closer
from router.calls.events import CallEvents
from router.calls.sweep import OverdueCalls
from router.calls.unseen import UnseenCalls
from router.composition.outside import Outside, platform_account
from router.messages.mailbox import Mailbox
from router.settings import Settings
from router.vault import Vault


def make_sweep(settings: Settings, outside: Outside) -> tuple[OverdueCalls, UnseenCalls]:
    database, guard, recorder, clock = outside.database, outside.guard, outside.recorder, outside.clock
    opened = Accounts(database, Vault(outside.keyring), platform_account(settings)).open
    events = CallEvents(recorder, clock)
    closer = Closer(
        database=database, guard=guard, keyring=outside.keyring, recorder=recorder, events=events, clock=clock
    )
    unseen = UnseenCalls(
        database=database,
        carrier=outside.carrier,
        open_account=opened,
        closer=closer,
        mailbox=Mailbox(database, guard, recorder, events, clock),
        events=events,
        recorder=recorder,
        clock=clock,
    )
    return OverdueCalls(database, outside.carrier, opened, closer, clock), unseen
