"""Sealing: a value opens with its key and context, and with nothing else."""

from __future__ import annotations

import base64
import string
import traceback
from itertools import permutations

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto import Keyring, KeyringError, OpenError, new_key_entry

KEY_TEXT = base64.b64encode(bytes(range(32))).decode()
OTHER_TEXT = base64.b64encode(bytes(range(100, 132))).decode()
RING = Keyring.parse(f"k1:{KEY_TEXT}")

texts = st.text(st.characters(exclude_categories=["Cs"]))
contexts = st.lists(texts, min_size=1, max_size=4).map(tuple)


def refuses(ring: Keyring, envelope: str, *context: str) -> bool:
    try:
        ring.open_bytes(envelope, *context)
    except OpenError:
        return True
    return False


@given(texts, contexts)
def test_a_sealed_value_opens(text: str, context: tuple[str, ...]):
    assert RING.open(RING.seal(text, *context), *context).reveal() == text


@given(st.binary(), contexts)
def test_sealed_bytes_open_unchanged(data: bytes, context: tuple[str, ...]):
    assert RING.open_bytes(RING.seal(data, *context), *context) == data


@given(st.binary(max_size=60), contexts)
def test_an_envelope_fits_a_url_as_it_is(data: bytes, context: tuple[str, ...]):
    assert set(RING.seal(data, *context)) <= set(string.ascii_letters + string.digits + "-_.")


@given(st.binary(max_size=40), st.data())
def test_an_envelope_with_any_character_changed_does_not_open(data: bytes, draw: st.DataObject):
    """Version, key id, nonce, ciphertext and tag alike; also where a change leaves the bytes behind base64 as they were."""
    ring = Keyring.parse(f"k1:{KEY_TEXT},k2:{KEY_TEXT},x1:{OTHER_TEXT}")
    envelope = ring.seal(data, "agency")
    place = draw.draw(st.integers(0, len(envelope) - 1))
    other = draw.draw(st.characters() | st.sampled_from(string.ascii_letters + string.digits + "-_.+/="))
    assume(other != envelope[place])
    assert refuses(ring, envelope[:place] + other + envelope[place + 1 :], "agency")


@given(st.binary(max_size=40), st.text(max_size=3), st.data())
def test_an_envelope_that_is_longer_or_shorter_does_not_open(data: bytes, extra: str, draw: st.DataObject):
    envelope = RING.seal(data, "agency")
    place = draw.draw(st.integers(0, len(envelope)))
    assert refuses(RING, envelope[:place] if place < len(envelope) else envelope[1:], "agency")
    assume(extra)
    assert refuses(RING, envelope[:place] + extra + envelope[place:], "agency")


@given(st.text())
def test_other_text_than_an_envelope_does_not_open(envelope: str):
    assert refuses(RING, envelope, "agency")


@given(contexts, contexts)
def test_another_context_does_not_open_it(context: tuple[str, ...], other: tuple[str, ...]):
    assume(context != other)
    assert refuses(RING, RING.seal("key", *context), *other)


@given(st.lists(texts, min_size=2, max_size=4, unique=True))
def test_the_order_of_the_context_matters(context: list[str]):
    envelope = RING.seal("key", *context)
    opening = [order for order in permutations(context) if not refuses(RING, envelope, *order)]
    assert opening == [tuple(context)]


@given(texts, st.data())
def test_parts_of_a_context_do_not_run_together(text: str, draw: st.DataObject):
    first, second = (draw.draw(st.integers(0, len(text))) for _ in range(2))
    assume(first != second)
    envelope = RING.seal("key", text[:first], text[first:])
    assert refuses(RING, envelope, text[:second], text[second:])
    assert refuses(RING, envelope, text)


def test_two_agencies_rows_that_were_swapped_do_not_open():
    ours, theirs = (RING.seal("key", "key", agency, "vapi", "1") for agency in ("agency_a", "agency_b"))
    assert refuses(RING, theirs, "key", "agency_a", "vapi", "1")
    assert refuses(RING, ours, "key", "agency_b", "vapi", "1")


def test_one_purpose_says_nothing_about_another():
    """Under one key and nonce, two purposes encrypt the same text differently: each has a key of its own."""
    ring = Keyring.parse(f"k1:{KEY_TEXT}", random=bytes)
    sealed = {ring.seal("the same text", purpose).partition("k1.")[2][16:32] for purpose in ("key", "session", "spool")}
    assert len(sealed) == 3
    plain = Keyring.parse(f"k1:{KEY_TEXT}", random=bytes, derives=False)
    assert len({plain.seal("the same text", purpose).partition("k1.")[2][16:32] for purpose in ("a", "b")}) == 1


def test_the_platform_key_itself_opens_nothing():
    platform_key = AESGCM(base64.b64decode(KEY_TEXT))
    data = base64.urlsafe_b64decode(RING.seal("key", "agency").split(".")[2] + "===")
    parts = [part.encode() for part in ("2", "k1", "agency")]
    associated = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    with pytest.raises(InvalidTag):
        platform_key.decrypt(data[:12], data[12:], associated)


def test_the_version_tells_whether_a_keyring_derives_and_each_opens_its_own_only():
    plain = Keyring.parse(f"k1:{KEY_TEXT}", derives=False)
    assert (plain.seal("key", "agency")[:2], RING.seal("key", "agency")[:2]) == ("1.", "2.")
    assert plain.open(plain.seal("key", "agency"), "agency").reveal() == "key"
    assert refuses(plain, RING.seal("key", "agency"), "agency")
    assert refuses(RING, plain.seal("key", "agency"), "agency")


def test_bytes_that_are_not_text_are_refused_without_showing_them():
    envelope = RING.seal(b"\xffcanary", "agency")
    with pytest.raises(OpenError) as caught:
        RING.open(envelope, "agency")
    assert caught.value.__context__ is None
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_the_first_key_seals_and_the_older_ones_still_open():
    old = Keyring.parse(f"old:{KEY_TEXT}")
    both = Keyring.parse(f"new:{OTHER_TEXT},old:{KEY_TEXT}")
    sealed_before = old.seal("key", "agency")
    sealed_now = both.seal("key", "agency")
    assert both.active_id == "new"
    assert (both.is_active(sealed_now), both.is_active(sealed_before)) == (True, False)
    assert both.open(sealed_before, "agency").reveal() == both.open(sealed_now, "agency").reveal() == "key"
    assert refuses(old, sealed_now, "agency")


def test_a_missing_key_and_a_changed_value_give_different_errors():
    envelope = Keyring.parse(f"lost:{KEY_TEXT}").seal("key", "agency")
    with pytest.raises(OpenError, match="not in the keyring"):
        RING.open(envelope, "agency")
    with pytest.raises(OpenError, match="changed or belongs to another context"):
        RING.open(RING.seal("key", "a"), "b")


def test_every_envelope_has_a_different_nonce():
    drawn: list[int] = []

    def count(length: int) -> bytes:
        drawn.append(length)
        return len(drawn).to_bytes(length, "big")

    ring = Keyring.parse(f"k1:{KEY_TEXT}", random=count)
    envelopes = [ring.seal("same", "context") for _ in range(3)]
    assert drawn == [12, 12, 12]
    nonces = [base64.urlsafe_b64decode(each.split(".")[2] + "===")[:12] for each in envelopes]
    assert nonces == [number.to_bytes(12, "big") for number in (1, 2, 3)]


def test_sealing_the_same_value_twice_gives_different_envelopes():
    assert len({RING.seal("same", "context") for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text",
    [
        f"a:{KEY_TEXT},b:{OTHER_TEXT}",
        f"a:{KEY_TEXT}\nb:{OTHER_TEXT}\n",
        f" a:{KEY_TEXT} ,\r\n b:{OTHER_TEXT}\n\n",
    ],
)
def test_keys_may_be_separated_by_lines_or_commas(text: str):
    assert repr(Keyring.parse(text)) == "Keyring(active=a, keys=2)"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no key given: make one with `callrouter keys new`"),
        (" , \n", "no key given"),
        (KEY_TEXT, "entry 1: the id before ':' must be"),
        (f"a b:{KEY_TEXT}", "entry 1: the id before ':' must be"),
        (f"{'i' * 33}:{KEY_TEXT}", "entry 1: the id before ':' must be"),
        (f"a:{KEY_TEXT},b.c:{OTHER_TEXT}", "entry 2: the id before ':' must be"),
        (f"a:{KEY_TEXT},a:{OTHER_TEXT}", "entry 2: the id a is used twice"),
        (f"a:{KEY_TEXT}\nb:{KEY_TEXT[:-4]}", "entry 2: the key has 30 bytes, not 32"),
        (f"a:{KEY_TEXT[:-5]}", "entry 1: what follows ':' is not base64"),
        (f"a:{KEY_TEXT[:20]} {KEY_TEXT[20:]}", "entry 1: what follows ':' is not base64"),
        (f"a:{KEY_TEXT[:20]}ü{KEY_TEXT[20:]}", "entry 1: what follows ':' is not base64"),
        ("a:", "entry 1: the key has 0 bytes, not 32"),
    ],
)
def test_a_mistake_in_the_keyring_names_the_entry_and_never_the_key(text: str, complaint: str):
    with pytest.raises(KeyringError) as caught:
        Keyring.parse(text)
    assert complaint in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)
    assert KEY_TEXT[:8] not in shown
    assert OTHER_TEXT[:8] not in shown


def test_the_keyring_accepts_a_new_entry():
    entries = [new_key_entry() for _ in range(20)]
    assert len(set(entries)) == 20
    ring = Keyring.parse("\n".join(entries))
    assert ring.active_id == entries[0].partition(":")[0]
    assert ring.open(ring.seal("key", "agency"), "agency").reveal() == "key"


def test_the_keyring_shows_no_key():
    shown = f"{RING!r} {RING} {[RING]}"
    assert KEY_TEXT not in shown
    assert repr(bytes(range(32))) not in shown
