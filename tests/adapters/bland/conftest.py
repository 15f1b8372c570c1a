"""Our adapter for Bland before the stand-in, with an org of its own."""

from __future__ import annotations

import pytest

from adapters.bland import Bland
from adapters.http import Http
from adapters.sandbox.bland import BlandOrg
from adapters.sandbox.server import RunningSandbox
from tests.adapters.canary import CANARY

SIP = "us2.sip.bland.ai:5061;transport=tls;secure=true"


@pytest.fixture
def org(box: RunningSandbox) -> BlandOrg:
    return box.state.bland.add_org(CANARY)


@pytest.fixture
def bland(box: RunningSandbox, http: Http) -> Bland:
    return Bland(http, f"{box.url}/bland", SIP)
