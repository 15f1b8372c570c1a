"""Calls and the messages that callers left."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp

from router.console.api import ApiProblem
from router.console.errors import NO_ERRORS, FormErrors, form_errors
from router.console.visit import Page, Visit

_PAGE: Final = 50
_MOST_AT_ONCE: Final = 200


async def show_calls(visit: Visit) -> Response:
    page = await visit.api.get(visit.path("calls"), limit=_PAGE, cursor=visit.query("cursor"))
    return visit.render(
        "calls.html",
        calls=page["items"],
        names=await visit.client_names(),
        older=_older(visit, "calls", page),
        is_first=not visit.query("cursor"),
    )


async def follow(visit: Visit) -> ASGIApp:
    """What happens on calls, as it happens, for the script of the pages about calls."""
    return visit.api.pass_on(visit.path("events"), visit.request)


async def show_call(visit: Visit, errors: FormErrors = NO_ERRORS, status: int = 200) -> Response:
    call = await visit.api.get(visit.path("calls", visit.part("call")))
    return visit.render(
        "call.html",
        status,
        call=call,
        names=await visit.client_names(),
        message=await _find_message(visit, call),
        errors=errors,
    )


async def delete_call(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("call", visit.url("calls", visit.part("call")))
    try:
        await visit.api.send("DELETE", visit.path("calls", visit.part("call")))
    except ApiProblem as problem:
        if not problem.is_refusal:
            raise
        return await show_call(visit, form_errors(problem), problem.status)
    return visit.go("calls", done="call-deleted")


async def show_voicemails(visit: Visit, errors: FormErrors = NO_ERRORS, status: int = 200) -> Response:
    page = await visit.api.get(visit.path("voicemails"), limit=_PAGE, cursor=visit.query("cursor"))
    return visit.render(
        "voicemails.html",
        status,
        voicemails=page["items"],
        names=await visit.client_names(),
        older=_older(visit, "voicemails", page),
        errors=errors,
    )


async def play(visit: Visit) -> ASGIApp:
    """The audio, for a player that has the session's cookie and no token."""
    return visit.api.pass_on(visit.path("voicemails", visit.part("voicemail"), "audio"), visit.request)


async def delete_voicemail(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("voicemail", visit.url("voicemails"))
    try:
        await visit.api.send("DELETE", visit.path("voicemails", visit.part("voicemail")))
    except ApiProblem as problem:
        if not problem.is_refusal:
            raise
        return await show_voicemails(visit, form_errors(problem), problem.status)
    return visit.go("voicemails", done="voicemail-deleted")


async def explain(visit: Visit) -> Response:
    """Who would take a call now. Asked by address, so that the answer can be passed on as a link."""
    asked = {"to": visit.query("to"), "from": visit.query("from")}
    rungs: list[dict[str, Any]] | None = None
    errors = NO_ERRORS
    if asked["to"]:
        try:
            rungs = (await visit.api.get(visit.path("explain"), **asked))["rungs"]
        except ApiProblem as problem:
            if problem.status in {401, 503}:
                raise
            errors = form_errors(problem)
    return visit.render(
        "explain.html",
        numbers=await visit.api.list_all(visit.path("numbers")),
        names=await visit.client_names(),
        asked=asked,
        rungs=rungs,
        errors=errors,
    )


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


def _older(visit: Visit, name: str, page: dict[str, Any]) -> str | None:
    return visit.url(name, cursor=page["next_cursor"]) if page["next_cursor"] else None


PAGES: Final[tuple[tuple[str, str, Page], ...]] = (
    ("GET", "/calls", show_calls),
    ("GET", "/calls/live", follow),
    ("GET", "/calls/{call}", show_call),
    ("POST", "/calls/{call}/delete", delete_call),
    ("GET", "/voicemails", show_voicemails),
    ("GET", "/voicemails/{voicemail}/audio", play),
    ("POST", "/voicemails/{voicemail}/delete", delete_voicemail),
    ("GET", "/explain", explain),
)
