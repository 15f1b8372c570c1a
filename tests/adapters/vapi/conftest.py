"""Our adapter for Vapi before the stand-in, with an org of its own and an assistant to put there."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.http import Http
from adapters.provider import Provider
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.vapi.org import VapiOrg
from tests.adapters.canary import CANARY
from tests.support.adapters import vapi_at


@pytest.fixture
def org(box: RunningSandbox) -> VapiOrg:
    return box.state.vapi.add_org(CANARY)


@pytest.fixture
def vapi(box: RunningSandbox, http: Http) -> Provider[Any]:
    return vapi_at(http, f"{box.url}/vapi")
