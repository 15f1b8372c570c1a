"""Our providers before a stand-in or a listener, at whatever address it has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.bland import BLAND
from adapters.bland.assistants import Assistants
from adapters.bland.settings import KnowledgePlace
from adapters.elevenlabs import ELEVENLABS
from adapters.http import Http
from adapters.provider import Provider
from adapters.retell import RETELL
from adapters.retell.api import Client as RetellClient
from adapters.vapi import VAPI


def vapi_at(http: Http, url: str) -> Provider[Any]:
    return VAPI.connect(http, {"url": url})


def retell_at(
    http: Http, url: str, sip: str, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Provider[Any]:
    return replace(RETELL, client=partial(RetellClient, pause=pause)).connect(http, {"url": url, "sip": sip})


def elevenlabs_at(http: Http, url: str) -> Provider[Any]:
    return ELEVENLABS.connect(http, {"url": url})


def bland_at(http: Http, url: str, sip: str, knowledge: KnowledgePlace = "base") -> Provider[Any]:
    return replace(BLAND, assistants=Assistants(knowledge)).connect(http, {"url": url, "sip": sip})
