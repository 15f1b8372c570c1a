"""Checks that Twilio and the providers can reach us at the configured addresses, and that we can reach them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx

from adapters.registry import PROVIDERS, Declarations, settings_of
from router.cli.doctor.findings import Finding, fine, hint, problem
from router.settings import Settings, env_name
from router.webhooks.fallback import CHECK

_SECONDS: Final = 10.0
_SKEW_SECONDS: Final = 60.0
_PUBLIC: Final = "CALLROUTER_PUBLIC_URL"
_FALLBACK: Final = "CALLROUTER_FALLBACK_URL"

Now = Callable[[], datetime]


async def look_at_addresses(
    settings: Settings, declarations: Declarations = PROVIDERS, now: Now = lambda: datetime.now(UTC)
) -> list[Finding]:
    apis = {
        env_name(name): settings.providers[name]
        for name, declared in settings_of(declarations).items()
        if declared.is_url
    }
    apis[env_name("twilio_url")] = settings.twilio_url
    async with httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False) as client:
        found = await asyncio.gather(
            _look_at_public(settings, client, now),
            _look_at_fallback(settings, client),
            _look_at_apis(apis, client),
        )
    return [finding for part in found for finding in part]


async def _look_at_public(settings: Settings, client: httpx.AsyncClient, now: Now) -> list[Finding]:
    if settings.public_url is None:
        return [
            problem(
                _PUBLIC,
                "not set, so Twilio and the providers get an address that works only on this machine",
                "set it to the public https address of this service",
            )
        ]
    findings = await _judge_host(_PUBLIC, settings.public_url)
    # If the probes have a port of their own, the API still says that it needs a token.
    path, sign = "/livez", ("status", "ok")
    if settings.ops_port is not None:
        path, sign = "/v1/token", ("type", "/problems/unauthorized")
    try:
        reply = await client.get(f"{settings.public_url}{path}")
        answered = sign in reply.json().items()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
        mend = "start `callrouter serve`, and point the proxy or tunnel to it"
        return [*findings, problem(_PUBLIC, f"{settings.public_url}{path}: {_name(error)}", mend)]
    if not answered:
        said = f"{settings.public_url}{path} answers {reply.status_code}, but not as callrouter does"
        return [*findings, problem(_PUBLIC, said, "something else answers at this address: check the proxy's routes")]
    return [*findings, fine(_PUBLIC, f"{settings.public_url} reaches callrouter"), *_judge_clock(reply, now())]


async def _look_at_fallback(settings: Settings, client: httpx.AsyncClient) -> list[Finding]:
    base = settings.fallback_base_url
    findings = []
    if urlsplit(base).hostname == urlsplit(settings.base_url).hostname:
        message = "the fallback is on the same host as the service, so an outage can stop both"
        mend = "run `callrouter fallback` on separate infrastructure, and set this to its address"
        findings.append(hint(_FALLBACK, message, mend))
    elif settings.fallback_url is not None:
        findings += await _judge_host(_FALLBACK, settings.fallback_url)
    try:
        reply = await client.post(f"{base}/fallback/voice", params={CHECK: ""}, data={"CallSid": "CA" + "0" * 32})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return [*findings, problem(_FALLBACK, f"{base}/fallback/voice: {_name(error)}", "start `callrouter fallback`")]
    if reply.status_code != httpx.codes.OK or "<Response>" not in reply.text:
        said = f"{base}/fallback/voice answers {reply.status_code} without a document that Twilio can execute"
        return [*findings, problem(_FALLBACK, said, "point it to `callrouter fallback` or `callrouter serve`")]
    return [*findings, fine(_FALLBACK, f"{base} serves the fallback")]


async def _look_at_apis(apis: Mapping[str, str], client: httpx.AsyncClient) -> list[Finding]:
    return list(await asyncio.gather(*(_look_at_api(name, base, client) for name, base in apis.items())))


async def _look_at_api(name: str, base: str, client: httpx.AsyncClient) -> Finding:
    """Any answer will do: the request has no key."""
    try:
        await client.get(base)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return problem(
            name, f"{base} cannot be reached: {_name(error)}", "check this machine's DNS, firewall and proxy"
        )
    return fine(name, f"{base} answers")


async def _judge_host(name: str, url: str) -> list[Finding]:
    parts = urlsplit(url)
    findings = []
    if parts.scheme != "https":
        findings.append(problem(name, f"{url} is not https: callers and signatures can be intercepted", "use https"))
    if await _is_private(parts.hostname or ""):
        message = f"{parts.hostname} is a private address that Twilio cannot reach from outside"
        findings.append(problem(name, message, "use the public host name of this service"))
    return findings


async def _is_private(host: str) -> bool:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False  # the request that follows reports it
    return all(not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in found)


def _judge_clock(reply: httpx.Response, now: datetime) -> list[Finding]:
    try:
        there = parsedate_to_datetime(reply.headers.get("date", ""))
        skew = abs((there - now).total_seconds())
    except (TypeError, ValueError):
        return []
    if skew <= _SKEW_SECONDS:
        return []
    return [
        problem(
            "clock",
            f"this machine's clock differs by {skew:.0f} seconds from the one at {_PUBLIC}",
            "set it by NTP: providers' signatures are valid for only a few minutes",
        )
    ]


def _name(error: Exception) -> str:
    """Only the kind: the text may contain a proxy's address and password."""
    return type(error).__name__
