"""What Twilio can read at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sandbox.carrier.document import DocumentError, parse_document, read_reply
from adapters.sandbox.carrier.rules import check_document

HUGE = b"<Response><Say>" + b"a" * 70_000 + b"</Say></Response>"
ENTITY = b'<!DOCTYPE Response [<!ENTITY a "b">]><Response><Say>&a;</Say></Response>'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 12100),
        (b"  \n", 12100),
        (b"<Response>", 12100),
        (b"not xml", 12100),
        (b"<Response><Say>\xff</Say></Response>", 12100),
        (b'<?xml version="1.0" encoding="klingon"?><Response/>', 12100),
        (b"<a>" * 20_000, 12100),
        (ENTITY, 12100),
        (b"<!DOCTYPE Response><Response/>", 12100),
        (b"<Answer/>", 12102),
        (b'<Response xmlns="urn:x"/>', 12102),
        (HUGE, 11750),
    ],
)
def test_a_body_that_twilio_cannot_read_gets_twilios_code(body, code):
    with pytest.raises(DocumentError) as caught:
        parse_document(body)
    assert caught.value.code == code


def test_nesting_too_deep_for_us_is_an_error_and_no_crash():
    with pytest.raises(DocumentError):
        parse_document(b"<Response>" + b"<a>" * 9_000 + b"</a>" * 9_000 + b"</Response>")


def test_a_document_of_64_kb_is_still_read():
    frame = len(b"<Response><Say></Say></Response>")
    body = b"<Response><Say>" + b"a" * (64 * 1024 - frame) + b"</Say></Response>"
    assert len(parse_document(body).children[0].text) == 64 * 1024 - frame


@pytest.mark.parametrize("kind", ["text/xml", "application/xml", "text/html", "text/xml; charset=utf-8", "TEXT/XML"])
def test_xml_types_are_executed(kind):
    document, complaint = read_reply(kind, b"<Response><Hangup/></Response>")
    assert [verb.name for verb in document.children] == ["Hangup"]
    assert complaint is None


def test_plain_text_is_read_to_the_caller_and_noted():
    document, complaint = read_reply("text/plain; charset=utf-8", b"Internal Server Error")
    assert document.children[0].name == "Say"
    assert document.children[0].text == "Internal Server Error"
    assert complaint is not None


def test_audio_is_played_and_noted():
    document, complaint = read_reply("audio/mpeg", b"ID3")
    assert document.children[0].name == "Play"
    assert complaint is not None


@pytest.mark.parametrize("kind", ["", "application/json", "application/octet-stream"])
def test_any_other_type_is_an_error(kind):
    with pytest.raises(DocumentError) as caught:
        read_reply(kind, b"<Response/>")
    assert caught.value.code == 12300


def test_numbers_and_flags_are_read_like_twilio_does():
    dial = parse_document(b'<Response><Dial timeout="14" timeLimit="soon" answerOnBridge="true"/></Response>').children[
        0
    ]
    assert dial.number("timeout", 30) == 14
    assert dial.number("timeLimit", 14400) == 14400
    assert dial.number("absent", 7) == 7
    assert dial.flag("answerOnBridge")
    assert not dial.flag("hangupOnStar")


_NAMES = st.sampled_from(
    ["Response", "Say", "Dial", "Number", "Sip", "Connect", "Stream", "Parameter", "Record", "Gather", "Redirect", "Hm"]
)
_VALUES = st.text(st.characters(codec="utf-8", exclude_characters='<>&"'), max_size=20)
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["url", "action", "timeout", "timeLimit", "callerId", "name", "value", "x"]), _VALUES, max_size=3
)


def _xml(tree) -> str:
    name, attributes, text, children = tree
    written = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{written}>{text}{''.join(map(_xml, children))}</{name}>"


_TREES = st.recursive(
    st.tuples(_NAMES, _ATTRIBUTES, _VALUES, st.just([])),
    lambda inner: st.tuples(_NAMES, _ATTRIBUTES, _VALUES, st.lists(inner, max_size=4)),
    max_leaves=12,
)


@given(st.lists(_TREES, max_size=4), st.booleans(), st.booleans())
def test_whatever_a_document_says_it_is_judged_and_never_crashes(trees, screening, answered):
    body = f"<Response>{''.join(map(_xml, trees))}</Response>".encode()
    try:
        document = parse_document(body)
    except DocumentError:
        return
    problems = check_document(document, screening=screening, answered=answered)
    assert all(problem.code and problem.text for problem in problems)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_document_or_get_twilios_code(body):
    assert _code_of(body) in (None, 12100, 12102)


def _code_of(body: bytes) -> int | None:
    try:
        parse_document(body)
    except DocumentError as error:
        return error.code
    return None
