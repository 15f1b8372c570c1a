"""URLs, SIP addresses and caller ids as Twilio takes or refuses them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sandbox.carrier.addresses import (
    caller_id_fault,
    resolve_url,
    sip_headers,
    sip_uri_fault,
    stream_url_fault,
)

HERE = "https://router.example/webhooks/twilio/voice?state=a#rt=8000"
CALLER, NUMBER, OTHER = "+14155550123", "+15005550101", "+15005550102"


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("", "https://router.example/webhooks/twilio/voice?state=a"),
        ("/after?x=1", "https://router.example/after?x=1"),
        ("next", "https://router.example/webhooks/twilio/next"),
        ("../up", "https://router.example/webhooks/up"),
        ("?only=query", "https://router.example/webhooks/twilio/voice?only=query"),
        (" https://other.example/a#rc=2 ", "https://other.example/a"),
        ("//other.example/a", "https://other.example/a"),
        ("/a%2Fb?c=%20", "https://router.example/a%2Fb?c=%20"),
    ],
)
def test_references_start_from_the_document(reference, url):
    assert resolve_url(HERE, reference) == url


@pytest.mark.parametrize(
    "reference",
    ["ftp://a.example/x", "https://a_b.example/x", "http://[broken", "a b", "mailto:x", "https://a.example:port/"],
)
def test_references_that_cannot_be_requested_are_refused(reference):
    with pytest.raises(ValueError):
        resolve_url(HERE, reference)


@given(st.text(max_size=60))
def test_any_reference_resolves_to_a_web_address_or_is_refused(reference):
    try:
        url = resolve_url(HERE, reference)
    except ValueError:
        return
    assert url.startswith(("http://", "https://"))
    assert "#" not in url


@pytest.mark.parametrize(
    "uri",
    [
        "sip:abc123@sip.retellai.com;transport=tcp",
        "sip:+15005550199@us2.sip.bland.ai:5061;transport=tls;secure=true?x-bland-session-id=abc",
        "sip:acme@sip.vapi.ai?x-caller=%2B1555&User-to-User=a&Remote-Party-ID=b&P-Called-Party-ID=c",
        f"sip:{'a' * 236}@a.example?x-a={'b' * 1000}",
    ],
)
def test_good_sip_addresses(uri):
    assert sip_uri_fault(uri) is None


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("abc@sip.retellai.com", "not a SIP address"),
        ("sip:sip.retellai.com", "not a SIP address"),
        ("sip:abc@sip.retell_ai.com", "underscore"),
        ("sip:a b@sip.retellai.com", "not a SIP address"),
        ("sip:abc@sip.retellai.com;transport=quic", "transport"),
        ("sip:abc@sip.retellai.com;colour=red", "unknown"),
        ("sip:abc@sip.retellai.com?session=1", "may not be sent"),
        ("sip:abc@sip.retellai.com?x-=1", "may not be sent"),
        ("sip:abc@sip.retellai.com?x-session", "has no value"),
        (f"sip:{'a' * 250}@a.example", "254 are allowed"),
        (f"sip:a@a.example?x-a={'b' * 1021}", "1023 are allowed"),
    ],
)
def test_bad_sip_addresses_are_named(uri, fault):
    assert fault in sip_uri_fault(uri)


def test_headers_of_a_sip_address_are_decoded():
    assert sip_headers("sip:a@b.example?x-caller=%2B1555&X-Ref=c_1") == {"x-caller": "+1555", "X-Ref": "c_1"}


@pytest.mark.parametrize("url", ["wss://api.vapi.ai/a/transport", "wss://a.example:8443/"])
def test_good_stream_addresses(url):
    assert stream_url_fault(url) is None


@pytest.mark.parametrize(
    "url", ["ws://a.example/", "wss:///x", "", "wss://a.example/?a=1", "wss://a.example/#a", "wss://[broken"]
)
def test_bad_stream_addresses(url):
    assert stream_url_fault(url)


def fault(noun, caller_id, caller=CALLER):
    return caller_id_fault(noun, caller_id, caller=caller, called=NUMBER, numbers=frozenset({OTHER}))


@pytest.mark.parametrize("shown", [CALLER, NUMBER, OTHER, None])
def test_a_phone_may_be_shown_the_caller_or_a_number_of_the_account(shown):
    assert fault("Number", shown) is None


@pytest.mark.parametrize("shown", ["+15005559999", "anonymous", "14155550123", "sip:x@y.example"])
def test_a_phone_may_not_be_shown_anything_else(shown):
    assert fault("Number", shown)


@pytest.mark.parametrize("caller", ["anonymous", "restricted", "", "sip:x@y.example", "266696687"])
def test_a_caller_without_a_number_cannot_be_shown(caller):
    assert fault("Number", None, caller)
    assert fault("Sip", None, caller)
    assert fault("Number", caller, caller)


@pytest.mark.parametrize("shown", ["anonymous", "+266696687", "acme-1_x.y", "+15005559999"])
def test_a_sip_address_may_be_shown_any_plain_word(shown):
    assert fault("Sip", shown) is None


@pytest.mark.parametrize("shown", ["a b", "x@y", "sip:x", ""])
def test_a_sip_address_may_not_be_shown_other_characters(shown):
    assert fault("Sip", shown)
