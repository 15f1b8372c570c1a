"""Where a call stands. The state is sealed into each callback's address, so that the next rung needs no database.

The stored answer to a step holds that sealed state as it is, and the document with a mark in place of it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias

from pydantic import TypeAdapter, ValidationError

from crypto import Keyring, OpenError
from router.calls.steps import INBOUND, Step, StepText
from router.ids import derive_id
from router.routing.route import Access, Route, Rung
from router.store.calls.records import InsertCall

_MOST_BYTES: Final = 64 * 1024
_LONGEST_GREETING: Final = 960  # bytes
_LONGEST_ADDRESS: Final = 600  # characters, of a registration's sealed address

Agencies: TypeAlias = tuple[str, ...] | None
"""For which agencies a request of the carrier's is proven: those whose tokens fit it. None: for all, by the platform's."""

Mark: TypeAlias = tuple[str, str, Step]
"""Account SID, call SID and step."""


def call_id_of(account_sid: str, call_sid: str) -> str:
    """Our id of a call. Every process derives the same id, so that it needs no database for it."""
    return derive_id("call", f"{account_sid}/{call_sid}")


class ForeignCallError(Exception):
    """The request is proven, but not for the agency whose call it is about."""


def require_proof(agencies: Agencies, agency_id: str) -> None:
    """Raises ForeignCallError."""
    if agencies is not None and agency_id not in agencies:
        raise ForeignCallError


class StateError(Exception):
    """A callback's `state` is missing, changed, or belongs to another call."""


@dataclass(frozen=True, slots=True)
class CallState:
    """A call between two of Twilio's requests. Times are seconds since the epoch."""

    call_id: str
    account_sid: str
    call_sid: str
    from_number: str  # as Twilio spelled it; `withheld` if it is
    caller: str | None  # E.164, None if withheld or malformed
    route: Route
    rungs: tuple[Rung, ...]  # not tried yet
    started_at: float
    step: StepText = INBOUND  # that follows the document with this state
    rung: Rung | None = None  # who has the call now
    media: str | None = None  # "stream", "dial" or "redirect", of an AI rung
    transfer_to: str | None = None  # E.164 of the person to whom the call is being transferred
    served_at: float = 0.0  # when the document was handed out
    ringing_since: float | None = None  # when it began to ring again, after an AI had answered

    @property
    def provider(self) -> str | None:
        """The provider that has the call now, on an AI rung."""
        return self.rung.provider if self.rung else None

    @property
    def mark(self) -> Mark:
        """The unit of idempotency."""
        return self.account_sid, self.call_sid, self.step

    @property
    def record(self) -> InsertCall:
        """The call's row, in case it is not stored yet."""
        return InsertCall(
            self.call_id,
            account_sid=self.account_sid,
            call_sid=self.call_sid,
            agency_id=self.route.agency_id,
            client_id=self.route.client_id,
            from_number=self.from_number,
            to_number=self.route.number,
            started_at=datetime.fromtimestamp(self.started_at, UTC),
        )


_FORM: Final = TypeAdapter(CallState)


def seal_state(keyring: Keyring, state: CallState) -> str:
    """The state for a callback's address, without what later rungs do not need: it stays below 4,000 characters."""
    return keyring.seal(_pack(_FORM.dump_json(_lighten(state), exclude_defaults=True)), "state", state.call_id)


def _lighten(state: CallState) -> CallState:
    """Drop the opening hours, because the ladder is built, and the keys of providers that are not on it.

    A very long greeting is dropped too: it is read from the database again, or replaced by ours while that is away. So is
    a very long address of a registration.
    """
    route, routing = state.route, state.route.routing
    ahead = {rung.provider for rung in (state.rung, *state.rungs) if rung is not None}
    greeting = routing.voicemail_greeting
    if greeting is not None and len(greeting.encode()) > _LONGEST_GREETING:
        greeting = None
    if routing.hours is not None or greeting != routing.voicemail_greeting:
        routing = replace(routing, hours=None, voicemail_greeting=greeting)
    accesses = tuple(_lighten_access(one) for one in route.accesses if one.provider in ahead)
    if routing is route.routing and accesses == route.accesses:
        return state
    return replace(state, route=replace(route, accesses=accesses, routing=routing))


def _lighten_access(access: Access) -> Access:
    if access.lines_free is not None:  # they change by the moment
        access = replace(access, lines_free=None)
    if len(access.target.sealed_address or "") <= _LONGEST_ADDRESS:
        return access
    return replace(access, target=replace(access.target, sealed_address=None))


def open_state(keyring: Keyring, sealed: str, call_id: str) -> CallState:
    """Raises StateError. `call_id` is the one in the address."""
    try:
        return _FORM.validate_json(_unpack(keyring.open_bytes(sealed, "state", call_id)))
    except (OpenError, ValidationError, zlib.error):
        raise StateError("the state does not open") from None


# What every state has. It may only be changed by a version that still reads what the version before has packed: calls in
# progress have their state in addresses.
_COMMON: Final = (
    b'"voicemail_greeting":"","transfer_to":"+1","provider":"bland","provider":"vapi","mode":"redirect","step":"ai-1",'
    b'"media":"stream","routing":{"mode":"owner_first","on_failure":"ring_through","screen":false},'
    b'{"call_id":"call_","account_sid":"AC","call_sid":"CA","from_number":"+1","caller":"+1","route":{'
    b'"agency_id":"agency_","client_id":"client_","client_name":"","account_sid":"AC","number":"+1",'
    b'"personal_phone":"+1","max_seconds":1800,"active_provider":"retell","accesses":[{"provider":"retell",'
    b'"target":{"assistant_id":"agent_"},"sealed_key":"2.k","key_version":1}],"routing":{"ring_seconds":2}},'
    b'"rungs":[{"kind":"owner"},{"kind":"voicemail"}],"started_at":17,"step":"ai-1","rung":{"kind":"ai",'
    b'"provider":"retell"},"media":"dial","served_at":17'
)


def _pack(data: bytes) -> bytes:
    """With a window of 2 kB, which holds a state. The usual one takes 268 kB of memory, which costs more than the work."""
    deflater = zlib.compressobj(level=3, wbits=11, memLevel=4, zdict=_COMMON)
    return deflater.compress(data) + deflater.flush()


def _unpack(packed: bytes) -> bytes:
    inflater = zlib.decompressobj(zdict=_COMMON)
    data = inflater.decompress(packed, _MOST_BYTES)
    if inflater.unconsumed_tail:
        raise StateError("the state is too large")
    return data


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a step: the document, and the state in its callbacks' addresses, also as it is sealed there."""

    document: str
    state: CallState | None = None
    sealed_state: str = ""


_PLACE: Final = "\0"  # of the sealed state in a stored document: no document holds that


def seal_answer(keyring: Keyring, answer: Answer, account_sid: str, call_sid: str, step: Step) -> str:
    """The document's envelope, bound to the step and to the state, and the state's own behind it."""
    state = answer.sealed_state
    document = answer.document.replace(state, _PLACE) if state else answer.document
    return f"{keyring.seal(document, 'answer', account_sid, call_sid, str(step), state)} {state}"


def open_answer(keyring: Keyring, sealed: str, account_sid: str, call_sid: str, step: Step) -> Answer:
    """Raises StateError."""
    envelope, _, state = sealed.partition(" ")
    try:
        document = keyring.open(envelope, "answer", account_sid, call_sid, str(step), state).reveal()
    except OpenError:
        raise StateError("the stored answer does not open") from None
    if not state:
        return Answer(document)
    return Answer(document.replace(_PLACE, state), open_state(keyring, state, call_id_of(account_sid, call_sid)), state)


def open_latest(keyring: Keyring, latest: tuple[str, str] | None, account_sid: str, call_sid: str) -> CallState | None:
    """Where a call stands, from its latest step and the sealed answer to it. None if there is no state to be read."""
    if latest is None:
        return None
    step, sealed = latest
    try:
        return open_answer(keyring, sealed, account_sid, call_sid, Step.parse(step)).state
    except StateError:
        return None
