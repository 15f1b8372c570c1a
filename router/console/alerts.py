"""What the agency is alerted of, and where; and the alerts there were."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from router.console import words
from router.console.visit import Page, Visit

_NUMBERS: Final = ("missed_percent", "failures")


async def show_alerts(visit: Visit, tested: dict[str, Any] | None = None) -> Response:
    """`tested`: where a test went."""
    settings = await visit.api.get(visit.path("alerts", "settings"))
    alerts, cursor = await visit.list_page("alerts")
    values = settings | {"webhook_url": ""}
    if visit.refusal and "failures" in visit.form:
        values |= _read_body(visit) | {"webhook_url": visit.form.text("webhook_url")}
    return visit.render(
        "alerts.html",
        settings=settings,
        values=values,
        alerts=alerts,
        older=cursor and visit.url("alerts", cursor=cursor),
        tested=tested,
    )


async def save(visit: Visit) -> Response:
    await visit.send("PATCH", visit.path("alerts", "settings"), _read_body(visit))
    return visit.go("alerts", done="alerts-saved")


async def send_test(visit: Visit) -> Response:
    return await show_alerts(visit, await visit.send("POST", visit.path("alerts", "test")))


async def remove_webhook(visit: Visit) -> Response:
    await visit.send("PATCH", visit.path("alerts", "settings"), {"webhook_url": None})
    return visit.go("alerts", done="alerts-saved")


def _read_body(visit: Visit) -> dict[str, Any]:
    """An address is kept unless another one is entered: it is never shown."""
    form = visit.form
    url, balance = form.text_or_none("webhook_url"), form.text("low_balance")
    body: dict[str, Any] = {name: form.number(name) for name in _NUMBERS}
    body["low_balance"] = float(balance) if balance.replace(".", "", 1).isdecimal() and balance.isascii() else balance
    body["muted"] = [kind for kind in words.ALERTS if kind not in form.get_all("kinds")]
    return body | ({"webhook_url": url} if url else {})


PAGES: Final = (
    Page("GET", "/alerts", show_alerts),
    Page("POST", "/alerts", save, show_alerts),
    Page("POST", "/alerts/test", send_test, show_alerts),
    Page("POST", "/alerts/remove-webhook", remove_webhook, show_alerts),
)
