"""`callrouter explain`: asks the running service who would take a call, and why the others would not.

The service's address comes from --url, the environment, or the notes that a running demo leaves in the data directory;
the admin token from the service's own settings, or from the file that it generated.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console
from rich.table import Table

from adapters.phone import WITHHELD
from crypto import Secret
from router.callers import name_caller
from router.cli.call import data_dir, find_router, numbers_of, read_number
from router.cli.setup import fail, read_variable, refuse
from router.environment import clean

_TIMEOUT_SECONDS: Final = 30
_MEANINGS: Final = {
    "ready": "takes the call",
    "stands_by": "used only if the rungs above it fail",
    "circuit_open": "failed recently and is skipped for a while",
    "not_synced": "the client has no assistant there",
    "assistant_gone": "the linked assistant does not exist there any more: link another one, or unlink it",
    "not_registered": "the number has no registration there",
    "no_key": "the agency has no key for it, or the key cannot be opened",
    "at_capacity": "all of the agency's lines there are in use, or too many requests are waiting",
    "no_provider": "this client's ladder has no provider",
    "destination_refused": "the operator does not allow that number to be rung",
    "no_personal_phone": "the client has no personal_phone",
    "on_failure_is_voicemail": "the client's settings do not ring the owner",
    "suspected_loop": "the owner's phone is ringing and shows this caller: it may have forwarded the call back",
    "too_many_calls_of_caller": "this caller has too many calls at once (CALLROUTER_CALLER_CALLS)",
    "too_many_calls_of_agency": "the agency has too many calls at once (CALLROUTER_AGENCY_CALLS)",
}


def explain(
    to: Annotated[str | None, typer.Option("--to", help="The number to call, such as +15005550101.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="The caller's number, or 'withheld'.")] = None,
    at: Annotated[str | None, typer.Option(help="When, such as 2026-03-02T09:30:00Z; if omitted, now.")] = None,
    url: Annotated[str | None, typer.Option(help="The router's address.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Show which rung would take a call now or at another time, and why the others would not. Places no call."""
    when = None if at is None else _read_time(at)
    demo, address = find_router(os.environ, url)
    folder = data_dir(os.environ)
    of_demo = demo and address == str(demo.get("router_url")).rstrip("/")
    token = _read_token(folder / "demo", {}) if of_demo else _read_token(folder, os.environ)
    called = read_number("--to", to, numbers_of(demo))
    withheld = from_ is not None and name_caller(from_) == WITHHELD
    calling = WITHHELD if withheld else None if from_ is None else read_number("--from", from_, ())
    for answer in _ask(address, token, called, calling, when):
        if as_json:
            sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
        else:
            _show(answer, Console(highlight=False))


def _read_time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        refuse(
            "--at: must be a time with its offset from UTC, such as 2026-03-02T09:30:00Z or 2026-03-02T09:30:00+01:00"
        )
    return moment.isoformat()


def _read_token(folder: Path, environ: Mapping[str, str]) -> Secret:
    """The admin token: the one given, or the one that the service generated in its data directory."""
    given = read_variable(environ, "CALLROUTER_ADMIN_TOKEN")
    if given:
        return Secret(given)
    file = Path(read_variable(environ, "CALLROUTER_ADMIN_TOKEN_FILE") or folder / "secrets" / "admin-token")
    try:
        token = clean(file.read_text())
    except (OSError, ValueError):
        token = ""
    if not token:
        refuse(f"CALLROUTER_ADMIN_TOKEN: required to ask the router; it is not set, and {file} does not contain it")
    return Secret(token)


def _ask(url: str, admin_token: Secret, to: str, from_: str | None, at: str | None) -> list[dict[str, Any]]:
    """The explanation for each agency that has this number: one, unless the number is in two accounts."""
    headers = {"Authorization": f"Bearer {admin_token.reveal()}"}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
        agencies = _get(client, "/v1/agencies", {"number": to})["items"]
        if not agencies:
            fail(f"--to: no agency of this router has the number {to}")
        query = {"to": to} | ({"from": from_} if from_ else {}) | ({"at": at} if at else {})
        return [
            {"to": to, "from": from_, "at": at, "agency_id": agency["id"], "agency": agency["name"]}
            | _get(client, f"/v1/agencies/{agency['id']}/explain", query)
            for agency in agencies
        ]


def _get(client: httpx.Client, path: str, query: Mapping[str, str]) -> Any:
    try:
        reply = client.get(path, params=dict(query))
        body = reply.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fail(f"the router cannot be reached: {type(error).__name__} ({client.base_url})")
    except ValueError:
        fail(f"{client.base_url} is not callrouter: HTTP {reply.status_code} without JSON")
    if reply.status_code == httpx.codes.UNAUTHORIZED:
        refuse(f"CALLROUTER_ADMIN_TOKEN: the router at {client.base_url} does not accept it")
    if reply.is_error:
        fail(f"the router answered: {body.get('detail', reply.status_code)}")
    return body


def _show(answer: Mapping[str, Any], console: Console) -> None:
    caller = f" from {answer['from']}" if answer["from"] else ""
    when = f" at {answer['at']}" if answer["at"] else ""
    console.print(
        f"A call to {answer['to']}{caller}{when} ({answer['agency']}) would be handled as follows:", markup=False
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    for rung in answer["rungs"]:
        style = "bold green" if rung["would_take"] else None
        table.add_row(*_cells(rung), style=style)
    console.print(table)


def _cells(rung: Mapping[str, Any]) -> Iterable[str]:
    reason = str(rung["reason"])
    yield "→" if rung["would_take"] else " "
    yield str(rung["step"])
    yield str(rung["provider"] or "")
    yield reason
    notes = ", ".join(str(note).replace("_", " ") for note in rung.get("notes", ()))
    yield " ".join(filter(None, (_MEANINGS.get(reason, ""), f"({notes})" if notes else "")))
