"""What an outside system says, put in our words, and made harmless."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ErrorKind, ProviderError
from adapters.replies import (
    CONCURRENCY,
    Reply,
    decode,
    find,
    is_sip_address,
    kind_of,
    number,
    read_answer,
    read_json,
    redact,
    refusal,
    text,
)
from crypto.secret import Secret

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)
FORMS = {
    "plain": lambda key: key,
    "upper case": str.upper,
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "url-safe base64": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "basic auth": lambda key: base64.b64encode(f"AC12345:{key}".encode()).decode(),
    "hex": lambda key: key.encode().hex(),
    "upper hex": lambda key: key.encode().hex().upper(),
    "url-encoded": lambda key: quote(key, safe=""),
    "form-encoded": quote_plus,
    "its first half and more": lambda key: key[: len(key) // 2 + 4],
}


def reply_of(status: int, body: object = b"", **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ErrorKind.BAD_REQUEST),
        (401, ErrorKind.KEY_REJECTED),
        (402, ErrorKind.OUT_OF_CREDIT),
        (403, ErrorKind.KEY_REJECTED),
        (404, ErrorKind.BAD_REQUEST),
        (408, ErrorKind.TIMEOUT),
        (409, ErrorKind.BAD_REQUEST),
        (422, ErrorKind.BAD_REQUEST),
        (429, ErrorKind.RATE_LIMITED),
        (500, ErrorKind.PROVIDER_ERROR),
        (503, ErrorKind.PROVIDER_ERROR),
        (599, ErrorKind.PROVIDER_ERROR),
    ],
)
def test_what_a_status_means_everywhere(status: int, kind: ErrorKind):
    assert kind_of(status, "", ()) is kind


@pytest.mark.parametrize("status", [400, 429])
def test_no_free_line_is_told_apart_from_a_rate_limit(status: int):
    assert kind_of(status, "Over Concurrency Limit", (CONCURRENCY,)) is ErrorKind.AT_CAPACITY


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("999999", 3600), ("soon", None), ("-3", None), ("1.5", None), ("", None), ("٣", None)],
)
def test_how_long_to_wait_in_seconds(header: str, seconds: float | None):
    assert refusal(reply_of(429, retry_after=header), ()).retry_after == seconds


def test_how_long_to_wait_as_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    wait = refusal(reply_of(503, retry_after=later), ()).retry_after
    assert wait is not None
    assert 500 < wait <= 600
    assert refusal(reply_of(503, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), ()).retry_after == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "no such agent"}, "no such agent"),
        (
            {"message": ["a must be b", "c is missing"], "error": "Bad Request"},
            "a must be b; c is missing; Bad Request",
        ),
        (
            {"data": None, "errors": [{"error": "AUTH_FAILURE", "message": "Unauthorized"}]},
            "Unauthorized; AUTH_FAILURE",
        ),
        ({"error": {"deep": 1}}, ""),
        ([], ""),
        (b"<html>Bad gateway</html>", ""),
        (b"", ""),
    ],
)
def test_what_a_system_said(body: object, said: str):
    assert refusal(reply_of(500, body), ()).said == said


def test_the_key_is_taken_out_of_what_a_system_said():
    error = refusal(reply_of(401, {"message": "Invalid key sk-1234567890abcdef"}), (), Secret("sk-1234567890abcdef"))
    assert error.said == "Invalid key [key]"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(key=KEYS, before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_form_of_a_key_survives(form, key: str, before: str, after: str):
    shown = form(key)
    said = redact(f"{before} {shown} {after}", Secret("unrelated-to-this"), Secret(key))
    assert shown.lower() not in said.lower()


@given(st.text(max_size=400))
def test_what_is_shown_is_one_short_line(said: str):
    shown = redact(said, Secret("0123456789-canary"))
    assert len(shown) <= 200
    assert all(char == " " or char.isprintable() for char in shown)


def test_what_holds_no_key_stays_as_it_is():
    assert redact("agent_123 not found, see https://docs.example.com", Secret("key_abcdef123456")) == (
        "agent_123 not found, see https://docs.example.com"
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b"NaN", b'{"a":Infinity}', b"\xff", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_json(body: bytes):
    with pytest.raises(ValueError):
        read_json(body)
    with pytest.raises(ProviderError) as caught:
        read_answer(reply_of(200, body), ())
    assert caught.value.kind is ErrorKind.MALFORMED_REPLY
    assert caught.value.__context__ is None


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_finding_never_fails(value: object):
    assert find({"a": value}, "a") == value
    assert find(value, "nowhere", "at", "all") is None


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("abc", "abc"),
        ("", None),
        (None, None),
        (1, None),
        (["a"], None),
        ("a\0b", "ab"),
        ("\ud800x", "x"),
        ("\0", None),
    ],
)
def test_text_that_a_database_can_hold(value: object, read: str | None):
    assert text(value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [(1, 1.0), ("2.5", 2.5), (-1, -1.0), (True, None), ("x", None), (None, None), ("nan", None), (10**400, None)],
)
def test_numbers_that_count(value: object, read: float | None):
    assert number(value) == read


def test_a_bomb_is_not_inflated():
    bomb = gzip.compress(b"\0" * 20_000_000)
    tracemalloc.start()
    try:
        assert decode(bomb, "gzip", 10_000) is None
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "uri",
    [
        "sip:abc@sip.retellai.com;transport=tcp",
        "sip:+15550001111@us2.sip.bland.ai:5061;transport=tls;secure=true?x-bland-session-id=abc%3D",
        "sips:a@[2001:db8::1]:5061",
        "sip:a@h?" + "x" * 1023,
    ],
)
def test_addresses_that_can_be_dialled(uri: str):
    assert is_sip_address(uri)


@pytest.mark.parametrize(
    "uri",
    ["", "tel:+1555", "sip:nohost", "sip:a@b@c", "sip:a@h h", "sip:a@h\n", "sip:é@h", 'sip:a@h"', "sip:a@h<x>", "sip:a@h?b?c",
     "sip:" + "a" * 250 + "@h", "sip:a@h?" + "x" * 1024],
)  # fmt: skip
def test_addresses_that_cannot(uri: str):
    assert not is_sip_address(uri)
