"""The pictures on the figures page: what is drawn in each, and the same numbers as a table.

pygal computes the drawing. Its style, script and tooltips are left out: our pages forbid them, colours come from the
stylesheet, and the page's own script reads numbers out of the table.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from xml.etree.ElementTree import Element, tostring

import pygal
from markupsafe import Markup
from pygal.etree import etree
from pygal.style import Style

from router.console.api import Refusal
from router.console.drawing import write_money
from router.console.words import ANSWERED

etree.to_etree()  # pygal would take lxml where that happens to be installed, whose trees differ

_MOST_DAYS: Final = 31  # of a longer span, weeks are drawn: bars stay wide enough for a finger
_WEEK: Final = 7
_OF_AGENCY: Final = 4  # pages at once that wait for their charts
_TO: Final = " – "
_LOOKS: Final = ("first", "second", "third", "fourth")
_NO_DRAWING: Final = frozenset({"defs", "desc", "title"})
_NO_LAYERS: Final = frozenset({"titles", "plot text-overlay", "plot tooltip-overlay"})
_LOOK: Final = {
    "width": 450,
    "height": 200,
    "margin": 4,
    "css": (),
    "js": (),
    "show_legend": False,
    "show_minor_x_labels": False,
    "x_labels_major_count": 4,
    "show_minor_y_labels": False,
    "y_labels_major_count": 4,
    "truncate_label": -1,
    "include_x_axis": True,
    "style": Style(label_font_size=13, major_label_font_size=13),
    "dots_size": 3,
}


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a week of the chart. `waits`: the median, and the 99th percentile, as the slowest day has them."""

    label: str
    answered_by: Mapping[str, int]
    waits: tuple[float | None, float | None]
    cost: float
    failures: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Series:
    """One of the things that a chart compares; `look` names its colour."""

    look: str
    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture and its numbers as they are written: one row a period, one column a series."""

    name: str
    title: str
    series: tuple[Series, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    picture: Markup


def gather(days: Sequence[Mapping[str, Any]]) -> list[Period]:
    """The API's days; weeks, counted from the first day, where there are many."""
    length = 1 if len(days) <= _MOST_DAYS else _WEEK
    return [_period(days[start : start + length]) for start in range(0, len(days), length)]


_thread: Final = ThreadPoolExecutor(1, thread_name_prefix="charts")
_waiting: Final[Counter[str]] = Counter()


async def draw_in_turn(agency_id: str, periods: Sequence[Period], labels: Mapping[str, str]) -> list[Chart]:
    """Drawn one after the other in a thread of their own: the other threads write what happened on calls.

    Raises Refusal if too many pages of the agency wait already.
    """
    if _waiting[agency_id] >= _OF_AGENCY:
        raise Refusal(429, "rate-limited", "Other charts of this agency are being drawn. Reload the page in a moment.")
    _waiting[agency_id] += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_thread, draw_charts, periods, labels)
    finally:
        _waiting[agency_id] -= 1
        if not _waiting[agency_id]:
            del _waiting[agency_id]


def draw_charts(periods: Sequence[Period], labels: Mapping[str, str]) -> list[Chart]:
    """`labels` are the providers' by name. Takes some 100 ms of processor time."""
    answered = [
        Series(name, label, tuple(one.answered_by[name] for one in periods)) for name, label in ANSWERED.items()
    ]
    waits = [
        Series("first", "Median", tuple(one.waits[0] for one in periods)),
        Series("second", "99th percentile", tuple(one.waits[1] for one in periods)),
    ]
    cost = [Series("first", "Cost", tuple(one.cost for one in periods))]
    failing = sorted({name for one in periods for name in one.failures})
    failures = [
        Series(look, labels.get(name, name.title()), tuple(one.failures.get(name, 0) for one in periods))
        for name, look in zip(failing, itertools.cycle(_LOOKS))
    ]
    charts = [
        _draw(pygal.StackedBar, "answered", "Calls by who answered", periods, answered, _write_count),
        _draw(pygal.Line, "waits", "Time to answer", periods, waits, _write_wait),
        _draw(pygal.StackedBar, "cost", "Cost", periods, cost, write_money),
    ]
    if failures:
        charts.append(_draw(pygal.StackedBar, "failures", "Failures by provider", periods, failures, _write_count))
    return charts


def _period(days: Sequence[Mapping[str, Any]]) -> Period:
    first = date.fromisoformat(days[0]["day"])
    label = f"{first:%-d %b}" if len(days) == 1 else f"{first:%-d %b}{_TO}{date.fromisoformat(days[-1]['day']):%-d %b}"
    providers = {name for day in days for name in day["failures"]}
    return Period(
        label=label,
        answered_by={name: sum(day["answered_by"][name] for day in days) for name in ANSWERED},
        waits=(_slowest(days, "p50"), _slowest(days, "p99")),
        cost=sum(day["cost"] for day in days),
        failures={name: sum(day["failures"].get(name, 0) for day in days) for name in providers},
    )


def _slowest(days: Sequence[Mapping[str, Any]], quantile: str) -> float | None:
    return max((wait for day in days if (wait := day["time_to_answer"][quantile]) is not None), default=None)


def _draw(
    kind: type[pygal.graph.graph.Graph],
    name: str,
    title: str,
    periods: Sequence[Period],
    series: Sequence[Series],
    write: Callable[[float | None], str],
) -> Chart:
    chart = kind(**_LOOK, value_formatter=write, x_labels=[one.label.partition(_TO)[0] for one in periods])
    for one in series:
        chart.add(one.label, list(one.values))
    root = chart.render_tree()
    _strip(root)
    root.attrib |= {"class": f"chart {name}", "aria-hidden": "true"}
    del root.attrib["id"]
    for number, one in enumerate(series):
        for part in root.iterfind(f".//g[@class='series serie-{number} color-{number}']"):
            part.set("class", f"series {one.look}")
    rows = tuple((period.label, tuple(write(one.values[at]) for one in series)) for at, period in enumerate(periods))
    drawn = Markup(tostring(root, encoding="unicode"))  # noqa: S704 - the writer escapes what is in it
    return Chart(name, title, tuple(series), rows, drawn)


def _strip(part: Element) -> None:
    """Take out what the pages' content security policy forbids, or what only pygal's script uses."""
    for child in list(part):
        tag: object = child.tag  # of a comment, a function
        if not isinstance(tag, str) or tag in _NO_DRAWING or child.get("class") in _NO_LAYERS:
            part.remove(child)
        else:
            child.attrib.pop("style", None)
            _strip(child)


def _write_count(number: float | None) -> str:
    return f"{number or 0:,.0f}"


def _write_wait(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"
