"""The documents: whatever names, greetings and addresses there are, Twilio can execute what we answer."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.base import NumberHandoff, RedirectHandoff, SipHandoff, StreamHandoff
from adapters.sandbox.carrier.document import MAX_BYTES, Element, parse_document
from adapters.sandbox.carrier.rules import check_document
from crypto import Secret
from router import phrases, twiml
from router.phrases import phrase_locale, phrases_for, say_locale
from router.twiml import AiLeg

LEG = AiLeg(
    caller_id="+14155550123",
    timeout=8,
    time_limit=3600,
    action="/webhooks/twilio/calls/call_1/ai-1?state=1.k.AAAA",
    stream_callback="/webhooks/twilio/calls/call_1/stream-1?state=1.k.AAAA",
)
ACTION = "/webhooks/twilio/calls/call_1/voicemail-1?state=1.k.AAAA"
LANGUAGES = [*phrases._PHRASES, "ja-JP", "", "xx-YY"]

anything = st.text(max_size=60)  # control characters, surrogates and all that XML cannot carry among it
names = anything
languages = st.sampled_from(LANGUAGES)
addresses = st.text(max_size=40).map(lambda text: f"/base/{quote(text, errors='replace')}?state=1.k.AA-_&x=<>\"'")
greetings = st.none() | st.text(max_size=1000)
in_xml = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40
)  # what a document of a provider can have had in it


def read(document: str, *, screening: bool = False, answered: bool = False) -> tuple[Element, ...]:
    """The verbs of a document, which Twilio takes without a complaint."""
    body = document.encode()
    assert len(body) < MAX_BYTES
    root = parse_document(body)
    assert check_document(root, screening=screening, answered=answered) == []
    return root.children


def test_an_empty_document_is_one():
    assert read(twiml.nothing()) == read(twiml.bridge(), screening=True) == ()


def test_hanging_up_and_rejecting():
    (hang_up,) = read(twiml.hang_up(), screening=True)
    assert hang_up.name == "Hangup"
    (reject,) = read(twiml.reject_busy())
    assert (reject.name, reject.attributes) == ("Reject", {"reason": "busy"})


@given(languages)
def test_goodbye_is_said_in_the_clients_language(language: str):
    say, hang_up = read(twiml.goodbye(language), answered=True)
    assert (say.text, say.get("language")) == (phrases_for(language).goodbye, phrase_locale(language))
    assert hang_up.name == "Hangup"


@given(languages)
def test_a_number_that_is_not_set_up_says_so_and_hangs_up(language: str):
    say, hang_up = read(twiml.not_in_service(language))
    assert (say.text, hang_up.name) == (phrases_for(language).not_in_service, "Hangup")
    assert read(twiml.not_in_service())[0].get("language") == "en-US"


@given(names, languages, addresses)
def test_the_owner_hears_who_calls_and_presses_a_key(name: str, language: str, accept: str):
    gather, hang_up = read(twiml.screen(accept, language, name), screening=True)
    assert gather.attributes == {
        "numDigits": "1",
        "finishOnKey": "",
        "timeout": "6",
        "action": accept,
        "method": "POST",
        "input": "dtmf",
    }
    (say,) = gather.children
    assert say.get("language") == phrase_locale(language)
    assert twiml.ACCEPT_DIGIT in say.text
    assert hang_up.name == "Hangup"


@given(names, greetings, languages, addresses, st.none() | addresses, st.integers(10, 600))
def test_a_message_can_always_be_left(name, greeting, language, action, callback, seconds):
    say, record, hang_up = read(twiml.leave_message(name, greeting, language, action, callback, seconds))
    assert say.text.strip()
    assert record.get("action") == action
    assert record.get("recordingStatusCallback") == (callback or "")
    assert (record.get("maxLength"), record.get("playBeep")) == (str(seconds), "true")
    assert hang_up.name == "Hangup"


def test_the_clients_greeting_is_spoken_by_the_clients_voice():
    say, *_ = read(twiml.leave_message("Acme", "こんにちは", "ja-JP", ACTION, None, 60))
    assert (say.text, say.get("language")) == ("こんにちは", say_locale("ja-JP"))


@pytest.mark.parametrize("greeting", [None, "", "  ", "\n\t", "\x00\x07", "\ud800"])
def test_a_greeting_that_says_nothing_is_replaced_by_ours(greeting):
    say, *_ = read(twiml.leave_message("Acme", greeting, "fr", ACTION, None, 60))
    assert say.text == phrases_for("fr").leave_message.format(name="Acme")


def test_a_recording_reports_that_it_is_ready_or_that_it_is_silent():
    _, record, _ = read(twiml.leave_message("Acme", None, "en", ACTION, "/recording", 60))
    assert record.get("recordingStatusCallbackEvent").split() == ["completed", "absent"]
    assert record.get("recordingStatusCallbackMethod") == "POST"


def test_a_message_is_written_down_only_where_somebody_wants_to_hear_of_it():
    _, record, _ = read(twiml.leave_message("Acme", None, "en-US", ACTION, "/recording", 60, "/transcription"))
    assert (record.get("transcribe"), record.get("transcribeCallback")) == ("true", "/transcription")
    _, record, _ = read(twiml.leave_message("Acme", None, "en-US", ACTION, "/recording", 60))
    assert not {"transcribe", "transcribeCallback"} & set(record.attributes)


@given(anything)
def test_what_xml_cannot_carry_is_left_out_and_the_rest_is_kept(text: str):
    say, *_ = read(twiml.leave_message("Acme", f"a {text} z", "en", ACTION, None, 60))
    kept = "".join(char for char in text if char.isprintable() and not char.isspace() and char not in "\ufffe\uffff")
    assert say.text.startswith("a")
    assert say.text.endswith("z")
    assert all(char in say.text for char in kept)


@given(st.integers(5, 60), addresses, st.none() | addresses)
def test_the_owners_phone_is_rung(timeout: int, action: str, screen: str | None):
    (dial,) = read(twiml.ring_owner("+15005550123", "+14155550123", timeout, action, screen))
    (number,) = dial.children
    assert (number.name, number.text) == ("Number", "+15005550123")
    assert dial.attributes == {
        "answerOnBridge": "true",
        "callerId": "+14155550123",
        "timeout": str(timeout),
        "action": action,
        "method": "POST",
    }
    assert number.attributes == ({"url": screen, "method": "POST"} if screen else {})


@given(in_xml, st.none() | in_xml, st.none() | in_xml, addresses)
def test_a_sip_address_is_dialled_as_the_provider_gave_it(call_id, username, password, action):
    uri = f"sip:{quote(call_id)}@sip.example.com:5061;transport=tls?x-session={quote(call_id)}&x-a=<b>"
    leg = AiLeg("anonymous", 8, 3600, action, "/stream")
    (dial,) = read(twiml.hand_over(SipHandoff(uri, username, password), leg))
    (sip,) = dial.children
    assert (sip.name, sip.text) == ("Sip", uri)
    assert (sip.attributes.get("username"), sip.attributes.get("password")) == (username, password)
    assert (dial.get("timeLimit"), dial.get("timeout"), dial.get("action")) == ("3600", "8", action)
    assert (dial.get("callerId"), dial.get("answerOnBridge")) == ("anonymous", "true")


def test_a_providers_number_is_dialled():
    (dial,) = read(twiml.hand_over(NumberHandoff("+15005550009"), LEG))
    (number,) = dial.children
    assert (number.name, number.text, number.attributes) == ("Number", "+15005550009", {})
    assert dial.get("action") == LEG.action


@given(in_xml, st.integers(min_value=5, max_value=600))
def test_a_redirect_leads_to_the_providers_address_within_the_time_that_is_left(name, timeout):
    url = f"https://server.bland.ai/incoming?encrypted_key=enc-1&client_name={quote(name)}"
    document = twiml.hand_over(RedirectHandoff(Secret(url)), replace(LEG, timeout=timeout))
    (redirect,) = read(document)
    limit = min(timeout, 15) * 1000
    assert (redirect.name, redirect.text) == ("Redirect", f"{url}#rt={limit}&tt={limit}")
    assert redirect.attributes == {"method": "POST"}
    assert twiml.find_redirect(document) == Secret(redirect.text)


def test_other_documents_redirect_nowhere():
    assert twiml.find_redirect(twiml.hang_up()) is None


parameters = st.lists(st.tuples(in_xml, in_xml), max_size=5)


@given(parameters, in_xml, addresses, addresses)
def test_a_stream_keeps_all_that_the_provider_gave(given_parameters, name, action, callback):
    assume(sum(len(part) for pair in given_parameters for part in pair) < 400)
    handoff = StreamHandoff(
        (("url", "wss://api.example.com/call/1/transport"), ("name", name), ("track", "inbound_track")),
        tuple((("name", key), ("value", value)) for key, value in given_parameters),
    )
    (connect,) = read(twiml.hand_over(handoff, AiLeg("+14155550123", 8, 3600, action, callback)))
    assert connect.attributes == {"action": action, "method": "POST"}
    (stream,) = connect.children
    assert stream.attributes == {
        "url": "wss://api.example.com/call/1/transport",
        "name": name,
        "track": "inbound_track",
        "statusCallback": callback,
        "statusCallbackMethod": "POST",
    }
    assert [(each.get("name"), each.get("value")) for each in stream.children] == given_parameters


def test_our_own_callbacks_stand_instead_of_the_providers():
    handoff = StreamHandoff(
        (
            ("url", "wss://api.example.com/"),
            ("statusCallback", "https://provider.example.com/status"),
            ("statusCallbackMethod", "GET"),
        )
    )
    (connect,) = read(twiml.hand_over(handoff, LEG))
    (stream,) = connect.children
    assert (stream.get("statusCallback"), stream.get("statusCallbackMethod")) == (LEG.stream_callback, "POST")
    assert connect.get("action") == LEG.action


def test_names_and_values_stay_as_they_are():
    """Twilio's own library would rename `from_` and the like."""
    handoff = StreamHandoff((("url", "wss://x.example.com/"),), ((("name", "a_b"), ("value", "from_")),))
    assert '<Parameter name="a_b" value="from_" />' in twiml.hand_over(handoff, LEG)


@given(st.binary(max_size=3000))
def test_a_long_state_in_an_address_stays_as_it_is(data: bytes):
    address = f"/webhooks/twilio/calls/call_1/ai-1?state=1.k1.{data.hex()}"[:3999]
    (dial,) = read(twiml.ring_owner("+15005550123", "+14155550123", 15, address, address))
    assert dial.get("action") == dial.children[0].get("url") == address
