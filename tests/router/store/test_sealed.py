"""The contexts of sealed values: a value opens only in its place."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import Keyring, OpenError, Secret, new_key_entry
from router.store import sealed
from router.store.sealed import Context

RING = Keyring.parse(new_key_entry())
KEY = Secret("key-canary-1")

ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
versions = st.integers(1, 10**6)
contexts = st.one_of(
    st.builds(sealed.key_context, ids, ids, versions),
    st.builds(sealed.webhook_secret_context, ids, ids, versions),
    st.builds(sealed.webhook_token_context, ids, ids),
    st.builds(sealed.reply_context, ids, ids),
)


PLACE = ("agency_1", "vapi", 3)
CONTEXTS = {
    "key": sealed.key_context(*PLACE),
    "secret": sealed.webhook_secret_context(*PLACE),
    "token": sealed.webhook_token_context(*PLACE[:2]),
    "reply": sealed.reply_context(*PLACE[:2]),
    "carrier key": sealed.carrier_key_context("agency_1", "AC1", "vapi"),
    "registration": sealed.registration_context("agency_1", "+14155550100", "vapi"),
    "endpoint secret": sealed.endpoint_secret_context(*PLACE[:2]),
    "alert address": sealed.alert_address_context(PLACE[0]),
    "former endpoint secret": sealed.former_endpoint_secret_context(*PLACE[:2]),
}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_every_kind_of_value_opens_in_its_place(context: Context):
    assert RING.open(RING.seal(KEY, *context), *context) == KEY


@pytest.mark.parametrize("place", [("agency_2", "vapi", 3), ("agency_1", "retell", 3), ("agency_1", "vapi", 4)])
def test_a_row_that_was_swapped_with_another_does_not_open(place: tuple[str, str, int]):
    envelope = RING.seal(KEY, *sealed.key_context(*PLACE))
    with pytest.raises(OpenError) as caught:
        RING.open(envelope, *sealed.key_context(*place))
    assert KEY.reveal() not in str(caught.value)


@pytest.mark.parametrize(("here", "there"), list(permutations(CONTEXTS, 2)))
def test_a_value_moved_to_another_column_does_not_open(here: str, there: str):
    envelope = RING.seal(KEY, *CONTEXTS[here])
    with pytest.raises(OpenError):
        RING.open(envelope, *CONTEXTS[there])


@given(contexts, contexts)
def test_no_context_stands_for_another(one: Context, other: Context):
    try:
        RING.open(RING.seal("key", *one), *other)
        opened = True
    except OpenError:
        opened = False
    assert opened == (one == other)
