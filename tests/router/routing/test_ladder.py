"""Which rungs a call goes down, in which order, and when a client is open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.ladder import (
    OWNER,
    VOICEMAIL,
    build_ladder,
    current_mode,
    human_rungs,
    is_open,
    order_providers,
)
from router.routing.route import Hours, Mode, OpenSpan, Route, Routing, Rung, SkipReason, why_unready
from tests.router.routing.providers import NAMES, as_protocol, make_access, make_providers, make_route

PROVIDERS = as_protocol(make_providers())
ALL = tuple(make_access(name) for name in NAMES)
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
MON, TUE, WED, THU, FRI, SAT, SUN = range(7)
PHONE = "+15005550123"

names = st.sampled_from([*NAMES, "gone"])
minutes = st.integers(0, 24 * 60)
spans = st.builds(OpenSpan, st.lists(st.integers(0, 6), min_size=1, unique=True).map(tuple), minutes, minutes)
timezones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Australia/Lord_Howe"]
)
hours = st.builds(Hours, timezones, st.lists(spans, max_size=4).map(tuple), st.sampled_from(get_args(Mode)))
routings = st.builds(
    Routing,
    mode=st.sampled_from(get_args(Mode)),
    on_failure=st.sampled_from(["ring_through", "voicemail"]),
    hours=st.none() | hours,
)
accesses = st.lists(
    st.builds(make_access, names, key=st.booleans(), assistant=st.booleans()),
    unique_by=lambda access: access.provider,
).map(tuple)
routes = st.builds(
    lambda found, **changes: make_route(*found, **changes),
    accesses,
    personal_phone=st.none() | st.just(PHONE),
    client_provider=st.none() | names,
    active_provider=st.none() | names,
    former_provider=st.none() | names,
    fallback_providers=st.none() | st.lists(names).map(tuple),
    routing=routings,
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(routes, moments)
def test_the_last_rung_is_voicemail_and_stands_once(route: Route, now: datetime):
    rungs = build_ladder(route, PROVIDERS, now)
    assert rungs[-1] == VOICEMAIL
    assert rungs.count(VOICEMAIL) == 1


@given(routes, moments)
def test_no_rung_stands_twice(route: Route, now: datetime):
    rungs = build_ladder(route, PROVIDERS, now)
    assert len(set(rungs)) == len(rungs)


@given(routes, moments)
def test_only_providers_that_there_are_stand_on_the_ladder(route: Route, now: datetime):
    asked = [rung.provider for rung in build_ladder(route, PROVIDERS, now) if rung.kind == "ai"]
    assert set(asked) <= set(NAMES)


@given(routes, moments)
def test_an_owner_is_rung_only_with_a_phone_and_only_if_the_mode_says_so(route: Route, now: datetime):
    rungs = build_ladder(route, PROVIDERS, now)
    mode = current_mode(route, now)
    rings = mode in ("owner_first", "ring_through") or (mode == "ai" and route.routing.on_failure == "ring_through")
    assert (OWNER in rungs) == (rings and route.personal_phone is not None)


@given(routes, moments)
def test_no_ai_is_asked_in_modes_without_one(route: Route, now: datetime):
    asked = [rung for rung in build_ladder(route, PROVIDERS, now) if rung.kind == "ai"]
    with_ai = current_mode(route, now) in ("ai", "owner_first")
    assert tuple(rung.provider for rung in asked) == (order_providers(route, PROVIDERS) if with_ai else ())


@given(routes, moments)
def test_people_come_in_the_same_order_without_the_ais(route: Route, now: datetime):
    rungs = build_ladder(route, PROVIDERS, now)
    assert human_rungs(rungs) == tuple(rung for rung in rungs if rung.kind != "ai")


def test_with_nothing_left_there_is_still_the_voicemail():
    assert human_rungs(()) == human_rungs((Rung("ai", "one"),)) == (VOICEMAIL,)


@pytest.mark.parametrize(
    ("mode", "on_failure", "expected"),
    [
        ("ai", "voicemail", "one two three voicemail"),
        ("ai", "ring_through", "one two three owner voicemail"),
        ("owner_first", "voicemail", "owner one two three voicemail"),
        ("owner_first", "ring_through", "owner one two three voicemail"),
        ("ring_through", "voicemail", "owner voicemail"),
        ("voicemail", "ring_through", "voicemail"),
    ],
)
def test_modes_are_orders_of_the_same_rungs(mode: Mode, on_failure, expected: str):
    routing = Routing(mode=mode, on_failure=on_failure)
    route = make_route(*ALL, active_provider="one", personal_phone=PHONE, routing=routing)
    assert " ".join(rung.provider or rung.kind for rung in build_ladder(route, PROVIDERS, NOON)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"active_provider": "two"}, "two one three"),
        ({"active_provider": "two", "client_provider": "three"}, "three one two"),
        ({"active_provider": "two", "fallback_providers": ()}, "two"),
        ({"active_provider": "two", "fallback_providers": ("three",)}, "two three"),
        ({"active_provider": "two", "fallback_providers": ("two", "three", "three")}, "two three"),
        ({"active_provider": "two", "fallback_providers": ("gone", "one")}, "two one"),
        ({"active_provider": "gone"}, "one two three"),
        ({"active_provider": None}, "one two three"),
        ({"active_provider": None, "fallback_providers": ()}, ""),
        ({"active_provider": "two", "former_provider": "three"}, "two one three"),
    ],
)
def test_the_chosen_provider_comes_first_and_then_the_fallbacks(changes, expected: str):
    assert " ".join(order_providers(make_route(*ALL, **changes), PROVIDERS)) == expected


def test_without_a_list_every_provider_with_a_key_stands_in():
    route = make_route(make_access("one"), make_access("three"), make_access("two", key=False), active_provider="three")
    assert order_providers(route, PROVIDERS) == ("three", "one")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "two three one"),
        ({"fallback_providers": ()}, "two three"),
        ({"client_provider": "three"}, "three one two"),  # the client's own choice has no former one
        ({"former_provider": "three"}, "three one two"),
        ({"former_provider": None}, "three one two"),
    ],
)
def test_until_the_active_one_has_the_clients_assistant_the_former_comes_first(changes, expected: str):
    route = make_route(
        make_access("one"),
        make_access("two"),
        make_access("three", assistant=False),
        **{"active_provider": "three", "former_provider": "two", **changes},
    )
    assert " ".join(order_providers(route, PROVIDERS)) == expected


def test_what_a_provider_lacks_is_shown():
    route = make_route(make_access("one"), make_access("two", assistant=False), make_access("three", key=False))
    reasons = [why_unready(route, name, PROVIDERS) for name in (*NAMES, "gone")]
    assert reasons == [None, SkipReason.NOT_SYNCED, SkipReason.NO_KEY, SkipReason.NOT_SYNCED]
    assert why_unready(make_route(), "one", PROVIDERS) is SkipReason.NO_KEY


def opening(timezone: str, *spans: tuple[tuple[int, ...], str, str]) -> Hours:
    read = [OpenSpan(days, minutes_of(start), minutes_of(end)) for days, start, end in spans]
    return Hours(timezone, tuple(read), "voicemail")


def minutes_of(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def open_at(hours: Hours, *local: str) -> list[bool]:
    zone = ZoneInfo(hours.timezone)
    return [is_open(hours, datetime.fromisoformat(moment).replace(tzinfo=zone).astimezone(UTC)) for moment in local]


def test_from_counts_and_to_does_not():
    hours = opening("Europe/Berlin", ((MON,), "09:00", "17:00"))
    assert open_at(hours, "2026-03-02 08:59:59", "2026-03-02 09:00", "2026-03-02 16:59:59", "2026-03-02 17:00") == [
        False,
        True,
        True,
        False,
    ]
    assert open_at(hours, "2026-03-03 12:00") == [False]


def test_hours_are_those_on_the_clients_wall():
    hours = opening("Asia/Kolkata", ((MON,), "00:00", "01:00"))
    assert is_open(hours, datetime(2026, 3, 1, 18, 45, tzinfo=UTC))
    assert not is_open(hours, datetime(2026, 3, 2, 0, 15, tzinfo=UTC))


def test_a_span_past_midnight_belongs_to_the_day_that_it_began():
    hours = opening("UTC", ((FRI, SUN), "22:00", "02:00"))
    friday_night = ["2026-03-06 21:59", "2026-03-06 22:00", "2026-03-07 01:59", "2026-03-07 02:00"]
    assert open_at(hours, *friday_night) == [False, True, True, False]
    assert open_at(hours, "2026-03-06 01:00", "2026-03-07 23:00") == [False, False]
    assert open_at(hours, "2026-03-09 01:00") == [True]  # Sunday's reaches into Monday


def test_a_day_may_have_several_spans():
    hours = opening("UTC", ((MON,), "09:00", "12:00"), ((MON, TUE), "13:00", "17:00"))
    assert open_at(hours, "2026-03-02 11:00", "2026-03-02 12:30", "2026-03-02 13:00", "2026-03-03 11:00") == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(("start", "end"), [("00:00", "24:00"), ("00:00", "00:00")])
def test_a_whole_day(start: str, end: str):
    hours = opening("UTC", ((MON,), start, end))
    assert open_at(hours, "2026-03-01 23:59", "2026-03-02 00:00", "2026-03-02 23:59", "2026-03-03 00:00") == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("day", ["2026-03-08", "2026-11-01"])  # New York's clocks go forward, and back
def test_opening_time_is_kept_on_the_days_when_clocks_change(day: str):
    hours = opening("America/New_York", ((SUN,), "09:00", "17:00"))
    assert open_at(hours, f"{day} 08:59", f"{day} 09:00", f"{day} 16:59", f"{day} 17:00") == [False, True, True, False]


def test_an_hour_that_comes_twice_is_open_twice():
    hours = opening("America/New_York", ((SUN,), "01:00", "02:00"))
    first, second = datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    assert (is_open(hours, first), is_open(hours, second)) == (True, True)
    assert not is_open(hours, second + timedelta(hours=1))


def test_an_hour_that_does_not_come_is_skipped():
    hours = opening("America/New_York", ((SUN,), "02:00", "03:00"))
    before, after = datetime(2026, 3, 8, 6, 59, tzinfo=UTC), datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    assert (is_open(hours, before), is_open(hours, after)) == (False, False)


@given(hours, moments)
def test_open_means_that_some_span_covers_the_minute(hours: Hours, now: datetime):
    """Against a slow and obvious judge: walk back from the minute and look for an opening that has not closed."""
    local = now.astimezone(ZoneInfo(hours.timezone))
    minute = local.hour * 60 + local.minute
    expected = False
    for span in hours.open:
        length = (span.end - span.start) % 1440 or 1440
        for days_ago in (0, 1):
            began = (local.weekday() - days_ago) % 7 in span.days
            expected |= began and 0 <= minute + days_ago * 1440 - span.start < length
    assert is_open(hours, now) == expected


def test_outside_of_the_hours_the_closed_mode_counts():
    hours = Hours("UTC", (OpenSpan((MON,), 9 * 60, 17 * 60),), "ring_through")
    route = make_route(*ALL, personal_phone=PHONE, routing=Routing(mode="ai", hours=hours))
    assert current_mode(route, NOON) == "ai"
    assert build_ladder(route, PROVIDERS, NOON + timedelta(hours=6)) == (OWNER, VOICEMAIL)


def test_a_client_without_spans_is_always_closed():
    closed = Hours("UTC", (), "voicemail")
    assert current_mode(make_route(routing=Routing(hours=closed)), NOON) == "voicemail"
