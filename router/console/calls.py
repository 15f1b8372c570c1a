"""Calls, the messages that callers left, and the figures of a span of days."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.responses import Response
from starlette.types import ASGIApp

from router.callers import name_caller
from router.console.api import ApiProblem, Refusal
from router.console.charts import Chart, draw_in_turn, gather
from router.console.forms import NO_ERRORS, form_errors
from router.console.timeline import list_misses, say_end, tell_story
from router.console.visit import Page, Visit

_FILTERS: Final = ("q", "caller", "number", "client_id", "outcome", "provider", "from", "to")
_UTC: Final = "UTC"
_MOST_AT_ONCE: Final = 200
_SPANS: Final = (7, 30, 90)
_USUAL_SPAN: Final = 30


async def show_calls(visit: Visit) -> Response:
    """A GET form, so that a search can be shared as a link."""
    asked = _asked(visit)
    calls, cursor, errors = list[dict[str, Any]](), None, NO_ERRORS
    try:
        calls, cursor = await visit.list_page("calls", **asked)
    except ApiProblem as problem:
        if not asked or problem.name not in {"invalid", "unavailable"}:
            raise
        errors = form_errors(problem)
    names, is_first = await visit.client_names(), not visit.query("cursor")
    older = cursor and visit.url("calls", cursor=cursor, **asked)
    sheet = visit.url("calls", "sheet", **asked)
    facts = {"calls": calls, "names": names, "older": older, "is_first": is_first, "sheet": sheet}
    filled = {name: visit.query(name) for name in _FILTERS}
    return visit.render("calls.html", asked=filled, is_search=bool(asked), errors=errors, **facts)


async def download(visit: Visit) -> ASGIApp:
    """The calls that are searched for, as a file."""
    return visit.api.pass_on(visit.path("calls"), visit.request, query=_asked(visit), accept="text/csv")


def _asked(visit: Visit) -> dict[str, str]:
    return {name: text for name in _FILTERS if (text := visit.query(name))}


async def follow(visit: Visit) -> ASGIApp:
    """Call events as they happen, for the script on the pages about calls."""
    return visit.api.pass_on(visit.path("events"), visit.request)


async def show_call(visit: Visit) -> Response:
    call = await visit.api.get(visit.path("calls", visit.part("call")))
    message = await _find_message(visit, call)
    return visit.render(
        "call.html",
        call=call,
        story=tell_story(call, visit.kinds),
        misses=list_misses(call, visit.kinds),
        ended=say_end(call["end_reason"], call["provider"], visit.kinds) if call["end_reason"] else None,
        names=await visit.client_names(),
        message=message,
    )


async def play_call(visit: Visit) -> ASGIApp:
    """Likewise as `play`, of what an AI and a caller said."""
    return visit.api.pass_on(visit.path("calls", visit.part("call"), "recording"), visit.request)


async def delete_call(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("call", visit.url("calls", visit.part("call")))
    only_here = "?only_here=true" if visit.form.ticked("only_here") else ""
    await visit.send("DELETE", visit.path("calls", visit.part("call")) + only_here)
    return visit.go("calls", done="call-deleted")


async def show_voicemails(visit: Visit) -> Response:
    voicemails, cursor = await visit.list_page("voicemails")
    older = cursor and visit.url("voicemails", cursor=cursor)
    return visit.render("voicemails.html", voicemails=voicemails, names=await visit.client_names(), older=older)


async def play(visit: Visit) -> ASGIApp:
    """The audio, for a player that has the session's cookie and no token."""
    return visit.api.pass_on(visit.path("voicemails", visit.part("voicemail"), "audio"), visit.request)


async def delete_voicemail(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("voicemail", visit.url("voicemails"))
    await visit.send("DELETE", visit.path("voicemails", visit.part("voicemail")))
    return visit.go("voicemails", done="voicemail-deleted")


async def explain(visit: Visit) -> Response:
    """Who would take a call now. A GET form, so that the answer can be shared as a link."""
    asked = {"to": visit.query("to"), "from": visit.query("from"), "at": visit.query("at")}
    caller = name_caller(asked["from"]) if asked["from"] else None
    rungs: list[dict[str, Any]] | None = None
    errors = NO_ERRORS
    zone = _UTC
    if asked["to"]:
        try:
            if asked["at"]:
                zone = await _zone_of(visit, asked["to"])
            query = asked | {"at": _in_zone(asked["at"], zone)}
            rungs = (await visit.api.get(visit.path("explain"), **query))["rungs"]
        except ApiProblem as problem:
            if problem.status in {401, 503}:
                raise
            errors = form_errors(problem)
    numbers, names = await visit.api.list_all(visit.path("numbers")), await visit.client_names()
    return visit.render(
        "explain.html", numbers=numbers, names=names, asked=asked, caller=caller, zone=zone, rungs=rungs, errors=errors
    )


async def _zone_of(visit: Visit, number: str) -> str:
    """The time zone of the number's client, as far as it has one."""
    client_id = (await visit.api.get(visit.path("numbers", number)))["client_id"]
    hours = (await visit.api.get(visit.path("clients", client_id)))["routing"]["hours"]
    return str(hours["timezone"]) if hours else _UTC


def _in_zone(text: str, zone: str) -> str:
    """With the zone's offset. What is no local time is left to the API, which says what is wrong with it."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).isoformat()
    except ValueError:
        return text


async def show_figures(visit: Visit) -> Response:
    """A GET form, so that a span can be shared as a link."""
    today = visit.services.clock().date()
    spans = {days: (today - timedelta(days=days - 1)).isoformat() for days in _SPANS}
    asked = {"from": visit.query("from") or spans[_USUAL_SPAN], "to": visit.query("to") or today.isoformat()}
    figures, charts, errors = None, list[Chart](), NO_ERRORS
    try:
        figures = await visit.api.get(visit.path("figures"), **asked)
        if figures["calls"]:
            days = (await visit.api.get(visit.path("figures", "days"), **asked))["days"]
            charts = await draw_in_turn(visit.agency["id"], gather(days), visit.providers)
    except Refusal as problem:
        errors = form_errors(problem)
    facts = {"asked": asked, "spans": spans, "today": today.isoformat(), "figures": figures, "errors": errors}
    return visit.render("figures.html", **facts, charts=charts)


async def _find_message(visit: Visit, call: dict[str, Any]) -> dict[str, Any] | None:
    """What its caller left. Messages come newest first, and none is older than its call."""
    cursor: str | None = None
    while call["outcome"] == "voicemail":
        page = await visit.api.get(visit.path("voicemails"), limit=_MOST_AT_ONCE, cursor=cursor)
        for message in page["items"]:
            if message["call_id"] == call["id"]:
                found: dict[str, Any] = message
                return found
        cursor = page["next_cursor"]
        if cursor is None or _moment(page["items"][-1]["at"]) < _moment(call["started_at"]):
            break
    return None


def _moment(at: str) -> datetime:
    return datetime.fromisoformat(at)


PAGES: Final = (
    Page("GET", "/calls", show_calls),
    Page("GET", "/calls/live", follow),
    Page("GET", "/calls/sheet", download),
    Page("GET", "/calls/{call}", show_call),
    Page("GET", "/calls/{call}/recording", play_call),
    Page("POST", "/calls/{call}/delete", delete_call, show_call),
    Page("GET", "/voicemails", show_voicemails),
    Page("GET", "/voicemails/{voicemail}/audio", play),
    Page("POST", "/voicemails/{voicemail}/delete", delete_voicemail, show_voicemails),
    Page("GET", "/explain", explain),
    Page("GET", "/figures", show_figures),
)
