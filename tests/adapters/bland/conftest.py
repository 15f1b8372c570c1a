"""Our adapter for Bland before the stand-in, with an org of its own."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.http import Http
from adapters.provider import Provider
from adapters.sandbox.bland.org import BlandOrg
from adapters.sandbox.server import RunningSandbox
from tests.adapters.canary import CANARY
from tests.support.adapters import bland_at

SIP = "us2.sip.bland.ai:5061;transport=tls;secure=true"


@pytest.fixture
def org(box: RunningSandbox) -> BlandOrg:
    return box.state.bland.add_org(CANARY)


@pytest.fixture
def bland(box: RunningSandbox, http: Http) -> Provider[Any]:
    return bland_at(http, f"{box.url}/bland", SIP)
