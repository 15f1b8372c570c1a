"""Our adapter for Vapi before the stand-in, with an org of its own and an assistant to put there."""

from __future__ import annotations

import pytest

from adapters.http import Http
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.vapi import VapiOrg
from adapters.vapi import Vapi
from tests.adapters.canary import CANARY


@pytest.fixture
def org(box: RunningSandbox) -> VapiOrg:
    return box.state.vapi.add_org(CANARY)


@pytest.fixture
def vapi(box: RunningSandbox, http: Http) -> Vapi:
    return Vapi(http, f"{box.url}/vapi")
