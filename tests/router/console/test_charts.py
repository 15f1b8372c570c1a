"""Charts draw what the API counted, with the same numbers beside them, and nothing that the pages forbid."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from router.console.api import Refusal
from router.console.charts import draw_charts, draw_in_turn, gather

LABELS = {"vapi": "Vapi", "retell": "Retell"}


def days(number: int, **fields: Any) -> list[dict[str, Any]]:
    empty = {
        "answered_by": {"ai": 2, "owner": 1, "voicemail": 0, "nobody": 0},
        "time_to_answer": {"p50": None, "p99": None},
        "cost": 0.5,
        "failures": {},
    } | fields
    first = date(2026, 1, 1)
    return [{"day": (first + timedelta(days=at)).isoformat()} | empty for at in range(number)]


def test_each_day_is_a_column_up_to_a_month_and_then_each_week():
    assert [one.label for one in gather(days(31))][:2] == ["1 Jan", "2 Jan"]
    weeks = gather(days(32))
    assert [one.label for one in weeks] == [
        "1 Jan – 7 Jan",
        "8 Jan – 14 Jan",
        "15 Jan – 21 Jan",
        "22 Jan – 28 Jan",
        "29 Jan – 1 Feb",
    ]
    assert (weeks[0].answered_by["ai"], weeks[0].cost, weeks[0].waits) == (14, 3.5, (None, None))


def test_a_week_waits_as_long_as_its_slowest_day():
    month = days(32)
    month[2]["time_to_answer"] = {"p50": 1.5, "p99": 4.0}
    month[5]["time_to_answer"] = {"p50": 1.0, "p99": 8.0}
    assert gather(month)[0].waits == (1.5, 8.0)


def test_failures_are_drawn_by_provider_and_only_if_there_are_any():
    assert [one.name for one in draw_charts(gather(days(2)), LABELS)] == ["answered", "waits", "cost"]
    *_, failures = draw_charts(gather(days(2, failures={"vapi": 3, "gone": 1})), LABELS)
    assert [(one.label, one.values) for one in failures.series] == [("Gone", (1, 1)), ("Vapi", (3, 3))]
    assert failures.rows[0] == ("1 Jan", ("1", "3"))
    assert failures.picture.count('class="rect') == 4


def test_a_drawing_has_no_script_style_or_text_of_its_own():
    waits = {"p50": 1.5, "p99": 4.0}
    for chart in draw_charts(gather(days(3, time_to_answer=waits, failures={"vapi": 1})), LABELS):
        assert chart.picture.startswith("<svg ")
        for forbidden in ("<script", "<style", "style=", "<desc", "<title", "<!--", " id="):
            assert forbidden not in chart.picture, chart.name


@pytest.mark.anyio
async def test_an_agency_that_opens_many_pages_at_once_gets_some_without_charts_and_others_get_theirs():
    week = gather(days(7))
    pages = [draw_in_turn("agency_1", week, LABELS) for _ in range(6)] + [draw_in_turn("agency_2", week, LABELS)]
    *many, of_another = await asyncio.gather(*pages, return_exceptions=True)
    assert [isinstance(charts, Refusal) for charts in many] == [False] * 4 + [True] * 2
    assert of_another == draw_charts(week, LABELS)
    assert await draw_in_turn("agency_1", week, LABELS) == of_another
