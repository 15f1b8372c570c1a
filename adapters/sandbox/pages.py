"""The demo's own pages at the sandbox: which keys it takes, how to make providers fail, and what webhooks have arrived."""

from __future__ import annotations

import html
import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from adapters.sandbox.api import iso
from adapters.sandbox.faults import NAMES
from adapters.sandbox.state import Sandbox

_KEPT: Final = 50
_LARGEST: Final = 64 * 1024
_STYLE: Final = (
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}"
    "body{margin:2rem auto;max-width:56rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #8884;padding:.4rem .6rem;text-align:left}"
    "code,pre{font:13px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}"
    "pre{background:#8881;overflow:auto;padding:.8rem}form{display:inline-flex;gap:.5rem}"
)
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
_EXPLAINED: Final = {"wallet": "no credit left", "concurrency": "all lines in use", "hang": "never answers"}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that arrived."""

    at: datetime
    webhook_id: str
    is_signed: bool
    body: str


@dataclass(slots=True)
class DemoPages:
    """`good_keys` and `broke_keys` by provider: those that work, and those without credit."""

    RECEIVER: ClassVar[str] = "/receiver"

    sandbox: Sandbox
    good_keys: dict[str, str]
    broke_keys: dict[str, str]
    deliveries: deque[Delivery]

    @classmethod
    def of(cls, sandbox: Sandbox, good: dict[str, str], broke: dict[str, str]) -> DemoPages:
        return cls(sandbox, good, broke, deque(maxlen=_KEPT))

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.show, methods=["GET"]),
            Route("/faults", self.set_fault, methods=["POST"]),
            Route(self.RECEIVER, self.show_deliveries, methods=["GET"]),
            Route(self.RECEIVER, self.receive, methods=["POST"]),
        ]

    async def show(self, _: Request) -> Response:
        rows = "".join(self._row(provider, key) for provider, key in self.good_keys.items())
        return _page(
            "The sandbox",
            "<p>It stands in for Twilio and the voice providers. Save one of these keys in the console; any other one is "
            "refused.</p><table><tr><th>Provider</th><th>Key that works</th><th>Key without credit</th>"
            f"<th>Let it fail</th></tr>{rows}</table>"
            f'<p><a href="{self.RECEIVER}">Webhooks that have arrived</a></p>',
        )

    async def set_fault(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        provider, fault = form.get("provider", ""), form.get("fault", "")
        if provider in self.good_keys and fault in ("", *NAMES):
            self.sandbox.faults.set(provider, fault or None)
        return RedirectResponse("/", 303)

    async def show_deliveries(self, _: Request) -> Response:
        shown = "".join(_show(one) for one in reversed(self.deliveries)) or "<p>Nothing yet. Place a call.</p>"
        return _page("Webhooks that have arrived", f'<p><a href="/">The sandbox</a></p>{shown}')

    async def receive(self, request: Request) -> Response:
        body = (await request.body())[:_LARGEST]
        headers = request.headers
        self.deliveries.append(
            Delivery(
                self.sandbox.clock(),
                headers.get("webhook-id", ""),
                "webhook-signature" in headers,
                body.decode(errors="replace"),
            )
        )
        return Response(status_code=204)

    def _row(self, provider: str, key: str) -> str:
        label = next((type(api).__name__ for api in self.sandbox.apis if api.name == provider), provider)
        now = next((fault.name for name, fault in self.sandbox.faults if name == provider), "")
        options = "".join(
            f'<option value="{name}"{" selected" if name == now else ""}>{_say(name)}</option>' for name in ("", *NAMES)
        )
        return (
            f"<tr><th>{html.escape(label)}</th><td><code>{html.escape(key)}</code></td>"
            f"<td><code>{html.escape(self.broke_keys.get(provider, ''))}</code></td>"
            f'<td><form method="post" action="/faults"><input type="hidden" name="provider" value="{provider}">'
            f'<select name="fault" aria-label="Fault of {provider}">{options}</select><button>Set</button></form></td></tr>'
        )


def _say(fault: str) -> str:
    if not fault:
        return "works"
    return f"{fault}: {_EXPLAINED[fault]}" if fault in _EXPLAINED else fault


def _show(delivery: Delivery) -> str:
    try:
        body = json.dumps(json.loads(delivery.body), indent=2, ensure_ascii=False)
    except ValueError:
        body = delivery.body
    signed = "signed" if delivery.is_signed else "not signed"
    return f"<h2>{iso(delivery.at)}, {signed}</h2><p><code>{html.escape(delivery.webhook_id)}</code></p><pre>{html.escape(body)}</pre>"


def _page(title: str, body: str) -> Response:
    written = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>"
    )
    return HTMLResponse(written, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})
