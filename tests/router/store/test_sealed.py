"""Which context a stored value is bound to: what belongs to one place opens at no other."""

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


def test_every_kind_of_value_comes_back():
    place = ("agency_1", "vapi", 3)
    assert sealed.open_key(RING, sealed.seal_key(RING, KEY, *place), *place) == KEY
    assert sealed.open_webhook_secret(RING, sealed.seal_webhook_secret(RING, KEY, *place), *place) == KEY
    token = sealed.seal_webhook_token(RING, KEY, "agency_1", "vapi")
    assert sealed.open_webhook_token(RING, token, "agency_1", "vapi") == KEY
    assert sealed.open_reply(RING, sealed.seal_reply(RING, b"\x00{}", "scope", "k"), "scope", "k") == b"\x00{}"


@pytest.mark.parametrize("place", [("agency_2", "vapi", 3), ("agency_1", "retell", 3), ("agency_1", "vapi", 4)])
def test_a_row_that_was_swapped_with_another_does_not_open(place: tuple[str, str, int]):
    envelope = sealed.seal_key(RING, KEY, "agency_1", "vapi", 3)
    with pytest.raises(OpenError) as caught:
        sealed.open_key(RING, envelope, *place)
    assert KEY.reveal() not in str(caught.value)


def test_a_value_moved_to_another_column_does_not_open():
    envelopes = {
        "key": sealed.seal_key(RING, KEY, "agency_1", "vapi", 3),
        "secret": sealed.seal_webhook_secret(RING, KEY, "agency_1", "vapi", 3),
        "token": sealed.seal_webhook_token(RING, KEY, "agency_1", "vapi"),
        "reply": sealed.seal_reply(RING, b"key-canary-1", "agency_1", "vapi"),
    }
    opens = {
        "key": lambda envelope: sealed.open_key(RING, envelope, "agency_1", "vapi", 3),
        "secret": lambda envelope: sealed.open_webhook_secret(RING, envelope, "agency_1", "vapi", 3),
        "token": lambda envelope: sealed.open_webhook_token(RING, envelope, "agency_1", "vapi"),
        "reply": lambda envelope: sealed.open_reply(RING, envelope, "agency_1", "vapi"),
    }
    for here, there in permutations(envelopes, 2):
        with pytest.raises(OpenError):
            opens[there](envelopes[here])


@given(contexts, contexts)
def test_no_context_stands_for_another(one: Context, other: Context):
    try:
        RING.open(RING.seal("key", *one), *other)
        opened = True
    except OpenError:
        opened = False
    assert opened == (one == other)
