"""`callrouter call`: place a simulated call to a running router and report the result.

The router, the account that signs and the sandbox come from the options, the environment, or the notes that a running
demo leaves in the data directory. The simulated carrier is in adapters/sandbox/carrier.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import httpx
import platformdirs
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters.phone import WITHHELD
from adapters.sandbox.api import new_id
from adapters.sandbox.carrier import Anybody, Carrier, SandboxControl, SandboxError, Script, Timeline
from adapters.sandbox.carrier.far_end import NumberAddresses, NumberOwner
from adapters.sandbox.carrier.script import AiOutcome, CallerOutcome, OwnerOutcome, VoicemailOutcome
from adapters.sandbox.carrier.timeline import Entry
from adapters.sandbox.faults import NAMES as FAULTS
from adapters.sandbox.reports import reports_of
from adapters.sandbox.talks import Ended
from crypto.secret import Secret
from router.callers import name_caller
from router.calls.state import call_id_of
from router.cli.setup import fail, read_variable, refuse
from router.environment import clean
from router.phones import read_phone

DEMO_FILE = "demo.json"
TALK_SECONDS = 6.0  # longer than the threshold for "answered"
_ANSWERED = frozenset({"ai", "owner", "mailbox", "voicemail", "spoken", "abandoned"})
_REAL_CARRIER = "api.twilio.com"
_COLOURS = {
    "failure": "red",
    "violation": "bold red",
    "spoken": "cyan",
    "leg": "green",
    "end": "bold",
    "caller": "yellow",
}
_LOOK_EVERY = 1.0  # seconds between checks whether the router has moved the call through the carrier's API
_T = TypeVar("_T", bound=str)


@dataclass(frozen=True, slots=True)
class Target:
    """The router to call, the account that signs, the sandbox with its providers (if any), and of the demo its numbers and
    where its providers report calls.
    """

    router_url: str
    account_sid: str
    auth_token: Secret
    sandbox_url: str | None
    url_given: bool = False
    numbers: tuple[str, ...] = ()
    webhooks: Mapping[str, str] = field(default_factory=dict, repr=False)


def call(
    to: Annotated[str | None, typer.Option("--to", help="The number to call, such as +15005550101.")] = None,
    from_: Annotated[str, typer.Option("--from", help="The caller's number, or 'withheld'.")] = "+14155550123",
    ai: Annotated[
        str, typer.Option(help=f"What the AI does: {', '.join(get_args(AiOutcome))}; or several, one per attempt.")
    ] = "answers",
    owner: Annotated[
        str, typer.Option(help=f"What the owner's phone does: {', '.join(get_args(OwnerOutcome))}.")
    ] = "accepts",
    caller: Annotated[str, typer.Option(help=f"What the caller does: {', '.join(get_args(CallerOutcome))}.")] = "stays",
    voicemail: Annotated[
        str, typer.Option(help=f"What the caller leaves: {', '.join(get_args(VoicemailOutcome))}.")
    ] = "message",
    provider_fault: Annotated[
        list[str] | None,
        typer.Option(help=f"Make a provider fail for this call: vapi=503. Repeatable. Faults: {', '.join(FAULTS)}."),
    ] = None,
    talk: Annotated[float, typer.Option(help="Seconds that the caller talks with the AI.")] = TALK_SECONDS,
    url: Annotated[
        str | None, typer.Option(help="The router's public address. Default: the address configured on the number.")
    ] = None,
    account_sid: Annotated[str | None, typer.Option(help="The Twilio account that signs the call.")] = None,
    auth_token_file: Annotated[Path | None, typer.Option(help="A file with that account's auth token.")] = None,
    sandbox_url: Annotated[str | None, typer.Option(help="The sandbox that simulates the providers.")] = None,
    twiml: Annotated[bool, typer.Option("--twiml", help="Also print the TwiML documents.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Place a simulated call: sign requests as Twilio does, execute the returned TwiML, print what happened."""
    target = find_target(
        os.environ, url=url, account_sid=account_sid, auth_token_file=auth_token_file, sandbox_url=sandbox_url
    )
    called = read_number("--to", to, target.numbers)
    calling = None if from_ == WITHHELD else _read_caller(from_)
    script = _read_script(ai=ai, owner=owner, caller=caller, voicemail=voicemail, talk=talk)
    faults = _read_faults(provider_fault or [], target)
    try:
        timeline = asyncio.run(place(target, called, calling, script, faults))
    except SandboxError as error:
        fail(str(error))
    if timeline.requests and all(request.status is None for request in timeline.requests):
        fail(f"the router cannot be reached: {timeline.failures[0]} ({timeline.requests[0].url})")
    if as_json:
        sys.stdout.write(json.dumps(timeline.to_json(), indent=2, ensure_ascii=False) + "\n")
    else:
        _show(timeline, Console(), twiml=twiml)
    raise typer.Exit(0 if _succeeded(timeline) else 1)


def data_dir(environ: Mapping[str, str]) -> Path:
    given = read_variable(environ, "CALLROUTER_DATA_DIR")
    return Path(given or platformdirs.user_data_dir("callrouter", appauthor=False)).expanduser()


def find_target(
    environ: Mapping[str, str],
    *,
    url: str | None = None,
    account_sid: str | None = None,
    auth_token_file: Path | None = None,
    sandbox_url: str | None = None,
) -> Target:
    """Options take precedence over the environment, and the environment over the demo's notes."""
    demo, router_url = find_router(environ, url)
    sid, token = _read_account(environ, demo, account_sid, auth_token_file)
    sandbox = sandbox_url or _sandbox_of(read_variable(environ, "CALLROUTER_TWILIO_URL")) or demo.get("sandbox_url")
    return Target(
        router_url=router_url,
        account_sid=sid,
        auth_token=token,
        sandbox_url=str(sandbox).rstrip("/") if sandbox else None,
        url_given=bool(url),
        numbers=numbers_of(demo),
        webhooks=demo.get("webhooks", {}),
    )


def find_router(environ: Mapping[str, str], url: str | None) -> tuple[dict[str, Any], str]:
    """The notes of a running demo (empty without one), and the router's address."""
    demo = _read_demo(data_dir(environ) / DEMO_FILE)
    address = url or read_variable(environ, "CALLROUTER_PUBLIC_URL") or demo.get("router_url")
    if not address:
        refuse("--url: give the router's address, or start the demo (make run) and omit this option")
    return demo, str(address).rstrip("/")


def _read_demo(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        refuse(f"{path}: the demo's notes cannot be read ({type(error).__name__}); restart the demo")
    return found if isinstance(found, dict) else {}


def numbers_of(demo: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(number["e164"]) for number in demo.get("numbers", []))


def _read_account(
    environ: Mapping[str, str], demo: Mapping[str, Any], account_sid: str | None, auth_token_file: Path | None
) -> tuple[str, Secret]:
    """SID and token from the same source, because a token signs only for its own account."""
    sid = account_sid or read_variable(environ, "CALLROUTER_TWILIO_ACCOUNT_SID") or None
    from_file = auth_token_file or read_variable(environ, "CALLROUTER_TWILIO_AUTH_TOKEN_FILE")
    token = read_variable(environ, "CALLROUTER_TWILIO_AUTH_TOKEN") if auth_token_file is None else ""
    if not token and from_file:
        try:
            token = clean(Path(from_file).read_text())
        except OSError as error:
            refuse(f"--auth-token-file: {from_file} cannot be read ({error.strerror})")
        except ValueError as error:
            refuse(
                f"--auth-token-file: {from_file}: {'is not UTF-8 text' if isinstance(error, UnicodeError) else error}"
            )
    if not token and demo.get("auth_token") and sid in (None, demo.get("account_sid")):
        return str(demo["account_sid"]), Secret(str(demo["auth_token"]))
    if not sid or not token:
        missing = "CALLROUTER_TWILIO_AUTH_TOKEN" if sid else "CALLROUTER_TWILIO_ACCOUNT_SID"
        refuse(f"{missing}: required to sign the call as Twilio does; set it, or start the demo (make run)")
    return sid, Secret(token)


def _sandbox_of(twilio_url: str) -> str | None:
    """The sandbox that simulates this Twilio API; None for the real one."""
    if not twilio_url or _REAL_CARRIER in twilio_url:
        return None
    return twilio_url.rstrip("/").removesuffix("/twilio")


def read_number(option: str, value: str | None, known: Sequence[str]) -> str:
    hint = f"; the demo has {', '.join(known)}" if known else ""
    if value is None:
        refuse(f"{option}: required: the number to call{hint}")
    try:
        return read_phone(value)
    except ValueError:
        refuse(f"{option}: {value!r} is not a number in the form +15005550101{hint}")


def _read_caller(value: str) -> str:
    """A number, a SIP address, or another value that carriers send, unchanged."""
    if not value.startswith(("+", "sip:", "client:")) and name_caller(value) != WITHHELD:
        refuse(f"--from: {value!r} is not a number in the form +14155550123, a SIP address or 'withheld'")
    return value


def _read_script(*, ai: str, owner: str, caller: str, voicemail: str, talk: float) -> Script:
    if talk <= 0:
        refuse(f"--talk: must be more than 0 seconds, not {talk:g}")
    return Script(
        ai=tuple(_choice("--ai", each.strip(), get_args(AiOutcome)) for each in ai.split(",")),
        owner=_choice("--owner", owner, get_args(OwnerOutcome)),
        caller=_choice("--caller", caller, get_args(CallerOutcome)),
        voicemail=_choice("--voicemail", voicemail, get_args(VoicemailOutcome)),
        ai_talks=talk,
    )


def _choice(option: str, value: str, choices: tuple[_T, ...]) -> _T:
    chosen = next((choice for choice in choices if choice == value), None)
    if chosen is None:
        refuse(f"{option}: {value!r} is not one of {', '.join(choices)}")
    return chosen


def _read_faults(given: Sequence[str], target: Target) -> dict[str, str]:
    faults = {}
    for each in given:
        provider, equals, fault = each.partition("=")
        if not (provider and equals and fault):
            refuse(f"--provider-fault: {each!r} is not in the form vapi=503")
        faults[provider] = fault
    if faults and target.sandbox_url is None:
        refuse("--provider-fault: works only with a sandbox; set --sandbox-url or start the demo")
    return faults


async def place(target: Target, to: str, from_: str | None, script: Script, faults: Mapping[str, str]) -> Timeline:
    """Place the call. Afterwards the faults are always cleared. Raises SandboxError."""
    async with httpx.AsyncClient(trust_env=False) as client, AsyncExitStack() as stack:
        sandbox = SandboxControl(target.sandbox_url, client) if target.sandbox_url else None
        if sandbox and faults:
            stack.push_async_callback(sandbox.clear_faults)
            await sandbox.set_faults(faults)
        owner = await sandbox.find_owner(to) if sandbox else NumberOwner()
        if owner.provider is not None:
            return await _place_native(target, owner.provider, to, from_, script, client)
        if owner.account_sid is not None and owner.auth_token is not None:
            target = replace(target, account_sid=owner.account_sid, auth_token=Secret(owner.auth_token))
        set_up = await sandbox.find_number(target.account_sid, target.auth_token, to) if sandbox else None
        addresses = _addresses_of(target, set_up)
        carrier = Carrier(
            target.account_sid,
            target.auth_token,
            addresses.voice_url,
            fallback_url=addresses.fallback_url or None,
            status_url=addresses.status_url or None,
            far_end=sandbox or Anybody(),
            pass_time=_skip,
            pass_stream_time=asyncio.sleep,
            watch_every=_LOOK_EVERY,
            strict=False,
            client=client,
        )
        timeline = await carrier.place_call(to=to, from_=from_, script=script)
        if timeline.answered_by == "ai" and timeline.provider is not None:
            call_id = call_id_of(target.account_sid, timeline.call_sid)
            ended = Ended(timeline.provider, timeline.provider_call_id, call_id, timeline.from_, to, script.ai_talks)
            await _report(target, ended, client)
        return timeline


async def _place_native(
    target: Target, provider: str, to: str, from_: str | None, script: Script, client: httpx.AsyncClient
) -> Timeline:
    """A call to a number that a voice provider sold: only that provider answers, and tells us when it is over."""
    timeline = Timeline(call_sid=new_id("CA"), from_=from_ or WITHHELD, to=to, answered_by="ai", provider=provider)
    said = f"{provider} sold this number and answers it itself: the call does not pass through callrouter"
    timeline.entries.append(Entry(0, "leg", said))
    ended = Ended(provider, new_id("native-"), "", timeline.from_, to, script.ai_talks)
    told = "reported the call" if await _report(target, ended, client) else "reported the call nowhere"
    timeline.entries.append(Entry(script.ai_talks, "end", f"{provider} {told}"))
    return timeline


async def _report(target: Target, ended: Ended, client: httpx.AsyncClient) -> bool:
    """What the demo's providers tell about a call that is over. Whether all of it was taken."""
    url = target.webhooks.get(ended.provider)
    if url is None:
        return False
    try:
        answers = [await client.post(url, json=report, timeout=10) for report in reports_of(ended)]
    except httpx.HTTPError:
        return False
    return all(answer.is_success for answer in answers)


def _addresses_of(target: Target, set_up: NumberAddresses | None) -> NumberAddresses:
    """The addresses configured on the number; the router's standard ones if there are none, or if --url is given."""
    standard = NumberAddresses(
        f"{target.router_url}/webhooks/twilio/voice",
        set_up.fallback_url if set_up else "",
        f"{target.router_url}/webhooks/twilio/status",
    )
    return set_up if set_up and set_up.voice_url and not target.url_given else standard


async def _skip(_seconds: float) -> None:
    """Ringing and recording take no real time; the router is told how long they lasted."""


def _succeeded(timeline: Timeline) -> bool:
    """Whether Twilio would consider the caller served, and the router broke no rule."""
    return timeline.answered_by in _ANSWERED and not timeline.violations


def _show(timeline: Timeline, console: Console, *, twiml: bool = False) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="dim")
    table.add_column(overflow="fold")
    for entry in timeline.entries:
        table.add_row(f"{entry.at:g} s", Text(entry.text), style=_COLOURS.get(entry.kind))
    console.print(table)
    if timeline.forwarded is not None:
        console.print("the forwarded call:", style="dim")
        _show(timeline.forwarded, console)
    if twiml:
        for document in timeline.documents:
            console.print(document, markup=False, highlight=False, soft_wrap=True)
    who = f"{timeline.answered_by} ({timeline.provider})" if timeline.provider else timeline.answered_by
    when = "" if timeline.answered_at is None else f" after {timeline.ringing_seconds:g} s of ringing"
    console.print(f"answered by: {who}{when}", style="green" if _succeeded(timeline) else "red", markup=False)
