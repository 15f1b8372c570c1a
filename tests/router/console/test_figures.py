"""Figures: shares, waits, costs, for a span that is part of the address."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.console import charts
from tests.router.api.client import Agency
from tests.router.api.test_calls import BEGAN, file_call
from tests.router.console.browsing import Browser
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio


async def file_calls(services: Services, agency: Agency) -> None:
    for number, (outcome, provider) in enumerate(
        (("ai", "vapi"), ("ai", "vapi"), ("ai", "retell"), ("abandoned", None))
    ):
        began = BEGAN + timedelta(minutes=number)
        await file_call(
            services,
            agency,
            f"call_{number}",
            outcome=outcome,
            provider=provider,
            started_at=began,
            answered_at=began + timedelta(seconds=2) if provider else None,
            ended_at=began + timedelta(seconds=62),
            seconds=62,
            cost=1.25 if provider else None,
        )


async def test_shares_waits_and_costs_are_shown_for_the_span(
    browser: Browser, services: Services, agency: Agency, monkeypatch: pytest.MonkeyPatch
):
    await file_calls(services, agency)
    page = await browser.open("figures?from=2026-03-01&to=2026-03-02")
    assert "75%" in page.words
    assert "$3.75" in page.words
    assert "2.0 s" in page.words
    bar = page.tree.find("svg", role="img")
    assert bar.attributes["aria-label"].startswith("AI 75%, Owner 0%")
    widths = [float(part.attributes["width"]) for part in bar.find_all("rect")]
    assert widths == [750, 0, 0, 250]
    calls, waits, cost = page.tree.find_all("section", **{"data-chart": ""})
    rows = [[cell.text for cell in row.children] for row in calls.find_all("tr")]
    assert rows == [
        ["Day", "AI", "Owner", "Voicemail", "Caller hung up"],
        ["1 Mar", "0", "0", "0", "0"],
        ["2 Mar", "3", "0", "0", "1"],
    ]
    assert waits.find_all("tr")[-1].text == "2 Mar 2.0 s 2.0 s"
    assert cost.find_all("tr")[-1].text == "2 Mar $3.75"
    assert (await browser.open("figures?from=2025-01-01&to=2025-01-02")).words.count("No calls in this period") == 1
    monkeypatch.setattr(charts, "_OF_AGENCY", 0)
    crowded = await browser.open("figures?from=2026-03-01&to=2026-03-02")
    assert "$3.75" in crowded.words
    assert "Reload the page in a moment" in crowded.tree.find("div", role="alert").text


async def test_without_a_span_it_is_the_last_thirty_days(browser: Browser):
    page = await browser.open("figures")
    assert page.tree.find("input", id="f-from").attributes["value"] == "2026-02-01"
    assert page.tree.find("input", id="f-to").attributes["value"] == "2026-03-02"


@pytest.mark.parametrize("span", ["from=soon", "from=2026-03-05&to=2026-03-01", "from=2020-01-01&to=2026-01-01"])
async def test_an_invalid_span_gets_an_error(browser: Browser, span: str):
    page = await browser.open(f"figures?{span}")
    assert page.tree.find("div", role="alert").text
    assert page.tree.find("input", id="f-from").attributes["aria-invalid"] == "true"
