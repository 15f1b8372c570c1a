"""A provider's TwiML is read in the few forms that hand a call over; any other document is none."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import SipHandoff, StreamHandoff
from adapters.twiml import read_twiml

STREAM = '<Response><Connect><Stream url="wss://api.vapi.ai/abc/transport"/></Connect></Response>'


def test_every_attribute_and_parameter_of_a_stream_is_kept():
    twiml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response> <!-- hello -->\n <Connect action="/x">'
        '<Stream url="wss://a.example:443/b/c" track="inbound_track" name="n">'
        '<Parameter name="a" value="1 &amp; &lt;2&gt;"/><Parameter name="ü" value=""/></Stream></Connect></Response>'
    )
    assert read_twiml(twiml) == StreamHandoff(
        (("url", "wss://a.example:443/b/c"), ("track", "inbound_track"), ("name", "n")),
        ((("name", "a"), ("value", "1 & <2>")), (("name", "ü"), ("value", ""))),
    )


def test_a_sip_address_with_its_password_is_kept():
    twiml = '<Response><Dial><Sip username="u" password="p">sip:a@sip.vapi.ai?x-k=v&amp;x-l=w</Sip></Dial></Response>'
    handoff = read_twiml(twiml)
    assert handoff == SipHandoff("sip:a@sip.vapi.ai?x-k=v&x-l=w", "u", "p")
    assert "'p'" not in repr(handoff)


def stream_to(url: str) -> str:
    return f"<Response><Connect><Stream url={quoteattr(url)}/></Connect></Response>"


UNUSABLE = {
    "nothing": "",
    "no document": None,
    "no text": {"a": 1},
    "no XML": "<Response><Connect>",
    "two documents": STREAM + STREAM,
    "another root": STREAM.replace("Response", "Reply"),
    "a doctype": '<!DOCTYPE r [<!ENTITY a "b">]>' + STREAM,
    "an entity bomb": '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Response>&b;</Response>',
    "an outside entity": '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><Response>&x;</Response>',
    "an unknown entity": "<Response>&x;</Response>",
    "a half character": STREAM.replace("abc", "\ud800"),
    "a NUL": STREAM.replace("abc", "\0"),
    "no verb": "<Response/>",
    "an error message": "<Response><Say>Sorry</Say><Hangup/></Response>",
    "another verb": "<Response><Redirect>https://x.example</Redirect></Response>",
    "a verb before": STREAM.replace("<Connect>", "<Say>hi</Say><Connect>"),
    "a verb after": STREAM.replace("</Connect>", "</Connect><Hangup/>"),
    "two verbs of the right kind": STREAM.replace("</Response>", '<Connect><Stream url="wss://a/b"/></Connect></Response>'),
    "an empty Connect": "<Response><Connect/></Response>",
    "two streams": STREAM.replace("</Connect>", '<Stream url="wss://a/b"/></Connect>'),
    "another noun": "<Response><Connect><Room>x</Room></Connect></Response>",
    "a number": "<Response><Dial><Number>+15550001111</Number></Dial></Response>",
    "a plain number": "<Response><Dial>+15550001111</Dial></Response>",
    "Start instead of Connect": STREAM.replace("Connect", "Start"),
    "lower case": STREAM.lower(),
    "a namespace": STREAM.replace("<Response", '<Response xmlns="urn:x"'),
    "a namespaced attribute": STREAM.replace("<Stream", '<Stream xmlns:a="urn:x" a:b="c"'),
    "a stranger within the stream": STREAM.replace("/></Connect>", "><Other/></Stream></Connect>"),
    "two SIP addresses": "<Response><Dial><Sip>sip:a@b</Sip><Sip>sip:c@d</Sip></Dial></Response>",
    "a SIP address that is none": "<Response><Dial><Sip>+1555</Sip></Dial></Response>",
    "too much": STREAM.replace("abc", "a" * 70_000),
    "no address": "<Response><Connect><Stream/></Connect></Response>",
    **{
        f"a stream to {url!r}": stream_to(url)
        for url in (
            "", "ws://a.example/", "https://a.example/", "WSS://a.example/", " wss://a.example/", "wss://", "wss:///path",
            "wss://user:pass@a.example/", "wss://a.example/?token=1", "wss://a.example/?", "wss://a.example/#x",
            "wss://a.example/a b", "wss://a.example/\n", "wss://é.example/", "wss://a.example:99999/", "wss://a.example:x/",
            "wss://[::1/", "wss://a.example\\@b.example/", "wss://<a>/", "//a.example/", "wss:a.example",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("twiml", UNUSABLE.values(), ids=UNUSABLE)
def test_any_other_document_is_no_handoff(twiml: object):
    assert read_twiml(twiml) is None


VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=30)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=5), st.booleans())
def test_parameters_of_all_kinds_come_through(parameters: list[tuple[str, str]], spaced: bool):
    inner = "".join(f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in parameters)
    twiml = STREAM.replace("/></Connect>", f">{inner}</Stream></Connect>").replace("><", "> \n<" if spaced else "><")
    handoff = read_twiml(twiml)
    assert isinstance(handoff, StreamHandoff)
    assert [dict(parameter) for parameter in handoff.parameters] == [{"name": n, "value": v} for n, v in parameters]


PIECES = ["<Response>", "</Response>", "<Connect>", "</Connect>", "<Dial>", "</Dial>", "<Sip>", "</Sip>", "<Stream/>", "<",
          '<Stream url="wss://a.example/b"/>', "sip:a@b", "<!DOCTYPE a>", "&amp;", "&x;", "<![CDATA[", "]]>", "\0", "x"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join) | st.text())
def test_no_document_breaks_the_reader(twiml: str):
    handoff = read_twiml(twiml)
    if isinstance(handoff, StreamHandoff):
        assert dict(handoff.attributes)["url"].startswith("wss://")
    elif handoff is not None:
        assert handoff.uri.startswith(("sip:", "sips:"))
