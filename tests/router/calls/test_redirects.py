"""Whether an address that failed is the one that our document redirected to, as Twilio may spell it."""

from __future__ import annotations

import pytest

from adapters.base import RedirectHandoff
from crypto import Secret
from router import twiml
from router.calls.redirects import is_same_address
from router.calls.state import Answer
from tests.router.test_twiml import LEG

URL = (
    "https://server.aws.dc8.bland.ai/incoming?encrypted_key=enc%2B1&client_name=Rosa%27s%20%C3%84&router_call_id=call_1"
)
ANSWER = Answer(twiml.hand_over(RedirectHandoff(Secret(URL)), LEG))


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f"{URL}#rt=8000&tt=8000",
        URL.replace("bland.ai/", "bland.ai:443/"),
        URL.replace("server.aws", "Server.AWS"),
        URL.replace("%20", "+"),
        URL.replace("%27", "'"),
        URL.replace("%C3%84", "Ä"),
    ],
)
def test_the_address_is_recognised_however_it_is_escaped(url: str):
    assert is_same_address(ANSWER, Secret(url))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "http://[",
        URL.replace("https:", "http:"),
        URL.replace("bland.ai", "bland.ai.example.com"),
        URL.replace("/incoming", "/other"),
        URL.replace("enc%2B1", "enc%2B2"),
        URL.replace("call_1", "call_2"),
        URL.partition("&")[0],
        f"{URL}&more=1",
        URL.replace("bland.ai/", "bland.ai:8443/"),
        "/webhooks/twilio/voice",
    ],
)
def test_another_address_is_not(url: str):
    assert not is_same_address(ANSWER, Secret(url))


def test_a_document_without_a_redirect_has_none():
    assert not is_same_address(Answer(twiml.hang_up()), Secret(""))
