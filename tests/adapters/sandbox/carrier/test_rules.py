"""What a document may say: each rule with a document that breaks it, and documents that break none."""

from __future__ import annotations

import pytest

from adapters.sandbox.carrier.document import parse_document
from adapters.sandbox.carrier.rules import check_document


def problems_of(body, **how):
    return [str(problem) for problem in check_document(parse_document(f"<Response>{body}</Response>".encode()), **how)]


STREAM = '<Connect action="/after"><Stream url="wss://api.vapi.ai/call-1/transport">{}</Stream></Connect>'
DIAL = '<Dial answerOnBridge="true" callerId="+14155550123" timeout="8" timeLimit="960" action="/after">{}</Dial>'
SIP = "<Sip>sip:abc@sip.retellai.com;transport=tcp?x-session=a%20b&amp;User-to-User=1</Sip>"

GOOD = {
    "empty": "",
    "stream": STREAM.format('<Parameter name="call" value="1"/>'),
    "stream with callbacks": '<Connect><Stream url="wss://a.example/x" name="n" track="inbound_track" '
    'statusCallback="/s" statusCallbackMethod="POST"/></Connect><Say>The assistant is gone.</Say>',
    "sip": DIAL.format(SIP),
    "number": DIAL.format(
        '<Number url="/screen" statusCallback="/leg" statusCallbackEvent="initiated answered">+15002220000</Number>'
    ),
    "bare number": '<Dial timeout="14">+15002220000</Dial><Hangup/>',
    "voicemail": '<Say language="de-DE">Bitte sprechen Sie.</Say><Record action="/done" maxLength="120" timeout="5" '
    'finishOnKey="#" playBeep="true" recordingStatusCallback="/file" recordingStatusCallbackEvent="completed absent"/>'
    "<Say>Goodbye.</Say><Hangup/>",
    "screening": '<Gather numDigits="1" finishOnKey="" timeout="6" action="/key"><Say>Press 1.</Say></Gather><Hangup/>',
    "reject": '<Reject reason="busy"/>',
    "redirect": '<Redirect method="POST">https://router.example/next?a=1&amp;b=2</Redirect>',
    "pause": '<Pause length="2"/><Play loop="2">https://files.example/hello.mp3</Play>',
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_a_good_document_passes(body):
    assert problems_of(body) == []


BAD = {
    "unknown verb": ("<Enqueue>support</Enqueue>", "unknown verb Enqueue"),
    "lower case verb": ("<say>hello</say>", "unknown verb say"),
    "attribute of Response": ("", None),
    "text outside": ("hello", "text outside of a verb"),
    "text between verbs": ("<Pause/>hello<Hangup/>", "text outside of a verb"),
    "unknown attribute": (
        '<Dial action="/a" answeronbridge="true"><Number>+15002220000</Number></Dial>',
        "unknown attribute answeronbridge",
    ),
    "unknown attribute of a noun": (
        "<Dial><Number action='/a'>+15002220000</Number></Dial>",
        "Number has an unknown attribute action",
    ),
    "unknown noun": ("<Dial><Conference>room</Conference></Dial>", "Dial may not have Conference"),
    "noun of another verb": ("<Connect><Number>+15002220000</Number></Connect>", "Connect may not have Number"),
    "timeout too short": ('<Dial timeout="4">+15002220000</Dial>', "from 5 to 600"),
    "timeout too long": ('<Dial timeout="601">+15002220000</Dial>', "from 5 to 600"),
    "timeout with a fraction": ('<Dial timeout="8.0">+15002220000</Dial>', "from 5 to 600"),
    "no time at all": ('<Dial timeLimit="0">+15002220000</Dial>', "from 1 to 14400"),
    "too much time": ('<Dial timeLimit="14401">+15002220000</Dial>', "from 1 to 14400"),
    "boolean in capitals": ('<Dial answerOnBridge="True">+15002220000</Dial>', "one of true, false"),
    "method": ('<Dial action="/a" method="PUT">+15002220000</Dial>', "one of POST, GET"),
    "empty action": ('<Dial action="">+15002220000</Dial>', "same document would be requested again"),
    "action elsewhere": ('<Dial action="ftp://x.example/a">+15002220000</Dial>', "not a valid http or https URL"),
    "underscore": ('<Dial action="https://my_host.example/a">+15002220000</Dial>', "underscore"),
    "no one to call": ('<Dial action="/a"/>', "no one to call"),
    "eleven nouns": ("<Dial>" + "<Number>+15002220000</Number>" * 11 + "</Dial>", "13250"),
    "number beside nouns": ("<Dial>+15002220000<Number>+15002220001</Number></Dial>", "text"),
    "leg events": (
        '<Dial><Number statusCallback="/s" statusCallbackEvent="picked-up">+15002220000</Number></Dial>',
        "must be words of",
    ),
    "ring tone": ('<Dial ringTone="US">+15002220000</Dial>', "ringTone"),
    "behind a dial with action": (
        '<Dial action="/a">+15002220000</Dial><Say>Hi</Say>',
        "Say can't be reached behind Dial with an action",
    ),
    "behind a connect with action": (STREAM.format("") + "<Hangup/>", "Hangup can't be reached behind Connect"),
    "behind a redirect": ("<Redirect>/next</Redirect><Hangup/>", "can't be reached behind Redirect"),
    "behind a hang-up": ("<Hangup/><Say>Hi</Say>", "can't be reached behind Hangup"),
    "behind a reject": ("<Reject/><Say>Hi</Say>", "can't be reached behind Reject"),
    "late answerOnBridge": (
        '<Say>Hi</Say><Dial answerOnBridge="true">+15002220000</Dial>',
        "answerOnBridge has no effect",
    ),
    "late reject": ("<Say>Hi</Say><Reject/>", "Reject must be the first verb"),
    "reject reason": ('<Reject reason="closed"/>', "one of rejected, busy"),
    "empty redirect": ("<Redirect/>", "11216"),
    "stream without url": ("<Connect><Stream/></Connect>", "Stream lacks url"),
    "plain stream": ('<Connect><Stream url="ws://a.example/x"/></Connect>', "31922"),
    "stream by http": ('<Connect><Stream url="https://a.example/x"/></Connect>', "31922"),
    "stream with a query": ('<Connect><Stream url="wss://a.example/x?call=1"/></Connect>', "no query string"),
    "stream track": ('<Connect><Stream url="wss://a.example/x" track="both_tracks"/></Connect>', "inbound_track"),
    "two streams": (
        '<Connect><Stream url="wss://a.example/x"/><Stream url="wss://a.example/y"/></Connect>',
        "exactly one Stream",
    ),
    "connect to nothing": ("<Connect/>", "exactly one Stream"),
    "long parameters": (STREAM.format(f'<Parameter name="a" value="{"x" * 499}"/>'), "499 are allowed"),
    "nameless parameter": (STREAM.format('<Parameter value="1"/>'), "Parameter lacks name"),
    "record for ever": ('<Record maxLength="120"/>', "over and over"),
    "record length": ('<Record action="/a" maxLength="0"/>', "from 1 to 14400"),
    "record keys": ('<Record action="/a" finishOnKey="any"/>', "0-9, * and #"),
    "record events": ('<Record action="/a" recordingStatusCallbackEvent="completed,absent"/>', "separated by spaces"),
    "language": ('<Say language="en">Hi</Say>', "no language that Twilio can speak"),
    "language case": ('<Say language="EN-us">Hi</Say>', "no language that Twilio can speak"),
    "voice": ('<Say voice="Joanna">Hi</Say>', "Polly"),
    "silence": ("<Say/>", "nothing to say"),
    "long speech": (f"<Say>{'a' * 4097}</Say>", "4096 are allowed"),
    "markup in speech": ("<Say>Hello <b>you</b></Say>", "Say may not have b"),
    "gather digits": ('<Gather numDigits="0" action="/a"/>', "from 1 to 100"),
    "gather with a record": ('<Gather action="/a"><Record action="/b"/></Gather>', "Gather may not have Record"),
    "talkative hang-up": ("<Hangup>bye</Hangup>", "Hangup may not have text"),
}
del BAD["attribute of Response"]


@pytest.mark.parametrize(("body", "complaint"), BAD.values(), ids=BAD.keys())
def test_a_document_that_breaks_a_rule_is_caught(body, complaint):
    assert any(complaint in problem for problem in problems_of(body)), problems_of(body)


def test_an_attribute_of_the_response_itself_is_caught():
    document = parse_document(b'<Response version="2"><Hangup/></Response>')
    assert [str(problem) for problem in check_document(document)] == [
        "12200: Response has an unknown attribute version"
    ]


@pytest.mark.parametrize(
    "verb",
    [
        "<Dial>+15002220000</Dial>",
        "<Pause/>",
        '<Record action="/a"/>',
        "<Redirect>/x</Redirect>",
        "<Reject/>",
        STREAM.format(""),
    ],
)
def test_a_screening_document_may_only_speak_ask_and_hang_up(verb):
    assert any("screening document may not have" in problem for problem in problems_of(verb, screening=True))


def test_the_usual_screening_document_passes():
    assert problems_of(GOOD["screening"], screening=True) == []
    assert problems_of("", screening=True) == []


def test_an_answered_call_cannot_be_rejected():
    assert any("Reject" in problem for problem in problems_of("<Reject/>", answered=True))


@pytest.mark.parametrize(
    "body", ["<Connect/>", '<Connect><Stream url="ws://x.example"/></Connect>', "<Dial/>", "<Redirect/>"]
)
def test_what_cannot_be_executed_is_fatal(body):
    document = parse_document(f"<Response>{body}</Response>".encode())
    assert any(problem.fatal for problem in check_document(document))
