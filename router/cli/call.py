"""`callrouter call`: place a simulated call at a running router and tell what became of it.

Where the router is, which account signs and where the sandbox is: from the options, the environment, or the notes
that a running demo leaves in the data dir. The carrier itself is in adapters/sandbox/carrier.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_args

import httpx
import platformdirs
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters.phone import is_e164
from adapters.sandbox.carrier import Anybody, Carrier, SandboxControl, SandboxError, Script, Timeline
from adapters.sandbox.carrier.far_end import NumberAddresses
from adapters.sandbox.carrier.script import AiOutcome, CallerOutcome, OwnerOutcome, VoicemailOutcome
from crypto.secret import Secret

DEMO_FILE = "demo.json"
TALK_SECONDS = 6.0  # longer than what counts as "answered", short enough to wait for
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
_LOOK_EVERY = 1.0  # seconds between looks whether the router has moved the call through the carrier's API
_T = TypeVar("_T", bound=str)


class UsageError(ValueError):
    """An option or setting is missing or wrong; the text names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """The router to call, the account that signs, and the sandbox of its providers, if it has one."""

    router_url: str
    account_sid: str
    auth_token: Secret
    sandbox_url: str | None
    url_given: bool = False
    numbers: tuple[str, ...] = field(default=())  # those of the demo


def call(
    to: Annotated[str | None, typer.Option("--to", help="The number that is called, like +15005550101.")] = None,
    from_: Annotated[str, typer.Option("--from", help="The caller's number, or 'withheld'.")] = "+14155550123",
    ai: Annotated[
        str, typer.Option(help=f"What the AI does: {', '.join(get_args(AiOutcome))}; or several, one for each attempt.")
    ] = "answers",
    owner: Annotated[
        str, typer.Option(help=f"What the owner's phone does: {', '.join(get_args(OwnerOutcome))}.")
    ] = "accepts",
    caller: Annotated[str, typer.Option(help=f"What the caller does: {', '.join(get_args(CallerOutcome))}.")] = "stays",
    voicemail: Annotated[
        str, typer.Option(help=f"What the caller leaves: {', '.join(get_args(VoicemailOutcome))}.")
    ] = "message",
    provider_fault: Annotated[
        list[str] | None, typer.Option(help="Let a provider fail for this call: vapi=503. Repeatable.")
    ] = None,
    talk: Annotated[float, typer.Option(help="Seconds of talk with the AI.")] = TALK_SECONDS,
    url: Annotated[
        str | None, typer.Option(help="The router's public address; by default what the number is set to.")
    ] = None,
    account_sid: Annotated[str | None, typer.Option(help="The Twilio account that the call comes from.")] = None,
    auth_token_file: Annotated[Path | None, typer.Option(help="A file with that account's auth token.")] = None,
    sandbox_url: Annotated[str | None, typer.Option(help="The sandbox that plays the providers.")] = None,
    twiml: Annotated[bool, typer.Option("--twiml", help="Print the documents too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Place a simulated call: sign like Twilio, execute the TwiML that comes back, print what happened."""
    try:
        target = find_target(
            data_dir(os.environ),
            os.environ,
            url=url,
            account_sid=account_sid,
            auth_token_file=auth_token_file,
            sandbox_url=sandbox_url,
        )
        called = read_number("--to", to, target.numbers)
        calling = None if from_ == "withheld" else read_caller(from_)
        script = read_script(ai=ai, owner=owner, caller=caller, voicemail=voicemail, talk=talk)
        faults = read_faults(provider_fault or [], target)
    except UsageError as error:
        _stop(str(error), 2)
    try:
        timeline = asyncio.run(place(target, called, calling, script, faults))
    except SandboxError as error:
        _stop(str(error), 1)
    if unreachable := _unreachable(timeline):
        _stop(unreachable, 1)
    if as_json:
        sys.stdout.write(json.dumps(timeline.to_json(), indent=2, ensure_ascii=False) + "\n")
    else:
        show(timeline, Console(), twiml=twiml)
    raise typer.Exit(0 if succeeded(timeline) else 1)


def data_dir(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("CALLROUTER_DATA_DIR") or platformdirs.user_data_dir("callrouter", appauthor=False))


def find_target(
    folder: Path,
    environ: Mapping[str, str],
    *,
    url: str | None = None,
    account_sid: str | None = None,
    auth_token_file: Path | None = None,
    sandbox_url: str | None = None,
) -> Target:
    """Options win over the environment, and that over the demo's notes in the folder. Raises UsageError."""
    demo = read_demo(folder / DEMO_FILE)
    router_url = url or environ.get("CALLROUTER_PUBLIC_URL") or demo.get("router_url")
    if not router_url:
        raise UsageError("--url: say where the router is, or start the demo (make run) and leave this out")
    sid, token = _read_account(environ, demo, account_sid, auth_token_file)
    sandbox = sandbox_url or _sandbox_of(environ.get("CALLROUTER_TWILIO_URL", "")) or demo.get("sandbox_url")
    return Target(
        router_url=str(router_url).rstrip("/"),
        account_sid=sid,
        auth_token=token,
        sandbox_url=str(sandbox).rstrip("/") if sandbox else None,
        url_given=bool(url),
        numbers=tuple(str(number["e164"]) for number in demo.get("numbers", [])),
    )


def read_demo(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: the demo's notes cannot be read ({type(error).__name__}); start the demo again"
        ) from None
    return found if isinstance(found, dict) else {}


def _read_account(
    environ: Mapping[str, str], demo: Mapping[str, Any], account_sid: str | None, auth_token_file: Path | None
) -> tuple[str, Secret]:
    """SID and token from one source: a token signs for its own account only."""
    sid = account_sid or environ.get("CALLROUTER_TWILIO_ACCOUNT_SID")
    from_file = auth_token_file or environ.get("CALLROUTER_TWILIO_AUTH_TOKEN_FILE")
    token = environ.get("CALLROUTER_TWILIO_AUTH_TOKEN", "") if auth_token_file is None else ""
    if not token and from_file:
        try:
            token = Path(from_file).read_text().strip()
        except OSError as error:
            raise UsageError(f"--auth-token-file: {from_file} cannot be read ({error.strerror})") from None
    if sid and token:
        return sid, Secret(token)
    if demo.get("auth_token") and sid in (None, demo.get("account_sid")) and not token:
        return str(demo["account_sid"]), Secret(str(demo["auth_token"]))
    missing = "CALLROUTER_TWILIO_AUTH_TOKEN" if sid else "CALLROUTER_TWILIO_ACCOUNT_SID"
    raise UsageError(f"{missing}: needed to sign the call like Twilio; set it, or start the demo (make run)")


def _sandbox_of(twilio_url: str) -> str | None:
    """The sandbox that a stand-in for Twilio's API belongs to; None if it is the real one."""
    if not twilio_url or _REAL_CARRIER in twilio_url:
        return None
    return twilio_url.rstrip("/").removesuffix("/twilio")


def read_number(option: str, value: str | None, known: Sequence[str]) -> str:
    hint = f"; the demo has {', '.join(known)}" if known else ""
    if value is None:
        raise UsageError(f"{option}: say which number to call{hint}")
    if not is_e164(value):
        raise UsageError(f"{option}: {value!r} is no number like +15005550101{hint}")
    return value


def read_caller(value: str) -> str:
    """A number, a SIP address, or whatever else carriers put there, as it is."""
    if value.startswith(("+", "sip:", "client:")) or value in ("anonymous", "restricted", "unavailable", "unknown"):
        return value
    raise UsageError(f"--from: {value!r} is neither a number like +14155550123 nor a SIP address, nor 'withheld'")


def read_script(*, ai: str, owner: str, caller: str, voicemail: str, talk: float) -> Script:
    if talk <= 0:
        raise UsageError(f"--talk: {talk:g} is not a time in seconds")
    return Script(
        ai=tuple(_choice("--ai", each.strip(), get_args(AiOutcome)) for each in ai.split(",")),
        owner=_choice("--owner", owner, get_args(OwnerOutcome)),
        caller=_choice("--caller", caller, get_args(CallerOutcome)),
        voicemail=_choice("--voicemail", voicemail, get_args(VoicemailOutcome)),
        ai_talks=talk,
    )


def _choice(option: str, value: str, choices: tuple[_T, ...]) -> _T:
    for choice in choices:
        if choice == value:
            return choice
    raise UsageError(f"{option}: {value!r} is none of {', '.join(choices)}")


def read_faults(given: Sequence[str], target: Target) -> dict[str, str]:
    faults = {}
    for each in given:
        provider, equals, fault = each.partition("=")
        if not (provider and equals and fault):
            raise UsageError(f"--provider-fault: {each!r} is not of the form vapi=503")
        faults[provider] = fault
    if faults and target.sandbox_url is None:
        raise UsageError(
            "--provider-fault: needs the sandbox's providers; name it with --sandbox-url or start the demo"
        )
    return faults


async def place(target: Target, to: str, from_: str | None, script: Script, faults: Mapping[str, str]) -> Timeline:
    """Place the call. Faults are gone afterwards, whatever happens. Raises SandboxError."""
    async with httpx.AsyncClient(trust_env=False) as client:
        if target.sandbox_url is None:
            return await _place(client, target, to, from_, script, None)
        sandbox = SandboxControl(target.sandbox_url, client)
        if not faults:
            return await _place(client, target, to, from_, script, sandbox)
        try:
            await sandbox.set_faults(faults)
            return await _place(client, target, to, from_, script, sandbox)
        finally:
            await sandbox.clear_faults()


async def _place(
    client: httpx.AsyncClient,
    target: Target,
    to: str,
    from_: str | None,
    script: Script,
    sandbox: SandboxControl | None,
) -> Timeline:
    set_up = await sandbox.find_number(target.account_sid, target.auth_token, to) if sandbox else None
    addresses = addresses_of(target, set_up)
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
    return await carrier.place_call(to=to, from_=from_, script=script)


def addresses_of(target: Target, set_up: NumberAddresses | None) -> NumberAddresses:
    """What the number is set to at the carrier; the router's standard addresses if it isn't, or if --url overrides."""
    standard = NumberAddresses(
        f"{target.router_url}/webhooks/twilio/voice",
        set_up.fallback_url if set_up else "",
        f"{target.router_url}/webhooks/twilio/status",
    )
    return set_up if set_up and set_up.voice_url and not target.url_given else standard


async def _skip(_seconds: float) -> None:
    """Ringing and recording take no real time: the router is told how long they lasted."""


def _unreachable(timeline: Timeline) -> str | None:
    first = timeline.requests[0]
    if first.status is not None or any(request.status is not None for request in timeline.requests):
        return None
    return f"the router cannot be reached: {timeline.failures[0]} ({first.url})"


def succeeded(timeline: Timeline) -> bool:
    """Whether the caller was served as Twilio would see it, and the router kept to the rules."""
    return timeline.answered_by in _ANSWERED and not timeline.violations


def show(timeline: Timeline, console: Console, *, twiml: bool = False) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="dim")
    table.add_column(overflow="fold")
    for entry in timeline.entries:
        table.add_row(f"{entry.at:g} s", Text(entry.text), style=_COLOURS.get(entry.kind))
    console.print(table)
    if timeline.forwarded is not None:
        console.print("the forwarded call:", style="dim")
        show(timeline.forwarded, console)
    if twiml:
        for document in timeline.documents:
            console.print(document, markup=False, highlight=False, soft_wrap=True)
    who = f"{timeline.answered_by} ({timeline.provider})" if timeline.provider else timeline.answered_by
    when = "" if timeline.answered_at is None else f" after {timeline.ringing_seconds:g} s of ringing"
    console.print(f"answered by: {who}{when}", style="green" if succeeded(timeline) else "red", markup=False)


def _stop(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"callrouter call: {message}\n")
    raise typer.Exit(code)
