"""`callrouter call`: what it prints and how it exits, against a router and a sandbox over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from adapters.sandbox.server import running_sandbox
from adapters.sandbox.world import demo_world
from router.cli.call import Target, call, find_target
from tests.support.scripted_router import ACCOUNT_SID, CALLER, NUMBER, TOKEN, running_router, twiml

pytestmark = pytest.mark.anyio

APP = typer.Typer()
APP.command()(call)
STREAM = '<Connect action="/after"><Stream url="wss://api.vapi.ai/call-1/transport"/></Connect>'


@pytest.fixture
async def router():
    async with running_router() as scripted:
        scripted.serve("/webhooks/twilio/voice", "<Say>Nobody is here.</Say><Hangup/>")
        scripted.serve("/webhooks/twilio/status", "")
        yield scripted


@pytest.fixture
async def box():
    async with running_sandbox() as running:
        demo_world(running.state)
        yield running


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """As on a machine where nothing is set."""
    for name in ("PUBLIC_URL", "TWILIO_URL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_FILE"):
        monkeypatch.delenv(f"CALLROUTER_{name}", raising=False)
    monkeypatch.setenv("CALLROUTER_DATA_DIR", str(tmp_path))
    return monkeypatch


@pytest.fixture
def run(environment):  # noqa: ARG001 - it must have been cleared
    async def run(*arguments):
        return await asyncio.to_thread(partial(CliRunner().invoke, APP, list(arguments)))

    return run


@pytest.fixture
def account(environment):
    environment.setenv("CALLROUTER_TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    environment.setenv("CALLROUTER_TWILIO_AUTH_TOKEN", TOKEN)


@pytest.mark.usefixtures("account")
async def test_a_call_is_signed_and_described_in_plain_words(run, router):
    result = await run("--to", NUMBER, "--from", CALLER, "--url", router.url)
    assert result.exit_code == 0, result.output
    assert "Nobody is here." in result.output
    assert "answered by: spoken" in result.output
    assert TOKEN not in result.output
    assert [asked.path for asked in router.asked] == ["/webhooks/twilio/voice", "/webhooks/twilio/status"]
    assert all(asked.signed for asked in router.asked)
    assert router.asked[0].form["From"] == CALLER


@pytest.mark.usefixtures("account")
async def test_json_contains_the_whole_timeline(run, router):
    result = await run("--to", NUMBER, "--url", router.url, "--json")
    shown = json.loads(result.output)
    assert shown["answered_by"] == "spoken"
    assert shown["documents"] == ["<Response><Say>Nobody is here.</Say><Hangup/></Response>"]


@pytest.mark.usefixtures("account")
async def test_the_documents_are_printed_on_request(run, router):
    assert "<Say>Nobody" in (await run("--to", NUMBER, "--url", router.url, "--twiml")).output


@pytest.mark.usefixtures("account")
async def test_a_withheld_number_reaches_the_router_as_such(run, router):
    await run("--to", NUMBER, "--url", router.url, "--from", "withheld")
    assert router.asked[0].form["From"] == "anonymous"


@pytest.mark.usefixtures("account")
async def test_an_application_error_is_a_failure(run, router):
    router.serve("/webhooks/twilio/voice", "<Redirect>/gone</Redirect>")
    result = await run("--to", NUMBER, "--url", router.url)
    assert result.exit_code == 1
    assert "application error" in result.output


@pytest.mark.usefixtures("account")
async def test_a_broken_rule_is_a_failure(run, router):
    router.serve("/webhooks/twilio/voice", '<Say mood="sad">Nobody is here.</Say>')
    result = await run("--to", NUMBER, "--url", router.url)
    assert result.exit_code == 1
    assert "unknown attribute mood" in result.output


@pytest.mark.usefixtures("account")
async def test_a_router_that_is_not_there_is_one_line(run):
    result = await run("--to", NUMBER, "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "http://127.0.0.1:9" in result.output


@pytest.mark.usefixtures("account")
async def test_a_sandbox_that_is_not_there_is_one_line(run, router):
    result = await run("--to", NUMBER, "--url", router.url, "--sandbox-url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "sandbox at http://127.0.0.1:9 cannot be reached" in result.output
    assert result.output.count("\n") == 1


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--from", CALLER], ["--to"]),
        (["--to", "020 7946 0000"], ["--to"]),
        (["--to", NUMBER, "--from", "somebody"], ["--from"]),
        (["--to", NUMBER, "--ai", "sings"], ["--ai", "answers", "closes"]),
        (["--to", NUMBER, "--ai", "fails,sings"], ["--ai"]),
        (["--to", NUMBER, "--owner", "sings"], ["--owner", "mailbox"]),
        (["--to", NUMBER, "--caller", "sings"], ["--caller", "stays"]),
        (["--to", NUMBER, "--voicemail", "sings"], ["--voicemail", "silent"]),
        (["--to", NUMBER, "--talk", "0"], ["--talk"]),
        (["--to", NUMBER, "--provider-fault", "vapi"], ["--provider-fault", "vapi=503"]),
        (["--to", NUMBER, "--provider-fault", "vapi=503"], ["--provider-fault", "--sandbox-url"]),
    ],
)
async def test_wrong_usage_is_one_line_that_names_the_option(run, router, arguments, names):
    result = await run("--url", router.url, *arguments)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert all(name in result.output for name in names)
    assert router.asked == []


async def test_without_an_account_the_setting_is_named(run, router):
    result = await run("--to", NUMBER, "--url", router.url)
    assert result.exit_code == 2
    assert "CALLROUTER_TWILIO_ACCOUNT_SID" in result.output


async def test_a_running_demo_needs_no_options(run, router, box, tmp_path):
    ((sid, found),) = box.state.twilio.accounts.items()
    number = next(iter(found.numbers.values()))
    number |= {"voice_url": f"{router.url}/v", "voice_fallback_url": f"{router.url}/f", "status_callback": ""}
    notes = {
        "router_url": router.url,
        "sandbox_url": box.url,
        "account_sid": sid,
        "auth_token": found.auth_token,
        "numbers": [{"e164": number["phone_number"], "client": "Demo", "provider": "vapi"}],
    }
    (tmp_path / "demo.json").write_text(json.dumps(notes))
    router.serve("/f", "<Say>This is the fallback.</Say>")
    result = await run("--to", number["phone_number"])
    assert [asked.path for asked in router.asked] == ["/v", "/f"]
    assert "This is the fallback." in result.output
    assert result.exit_code == 0
    assert number["phone_number"] in (await run()).output


@pytest.mark.usefixtures("account")
async def test_a_provider_fault_lasts_only_for_the_call(run, router, box):
    seen = []

    def answer(_asked):
        seen.extend(provider for provider, _ in box.state.faults)
        return twiml("<Hangup/>")

    router.answer("/webhooks/twilio/voice", answer)
    box.state.twilio.add_account(ACCOUNT_SID, TOKEN)
    result = await run(
        "--to",
        NUMBER,
        "--url",
        router.url,
        "--sandbox-url",
        box.url,
        "--provider-fault",
        "vapi=503",
        "--provider-fault",
        "bland=hang",
    )
    assert sorted(seen) == ["bland", "vapi"], result.output
    assert list(box.state.faults) == []


@pytest.mark.usefixtures("account")
async def test_a_fault_that_does_not_exist_is_named_and_no_call_is_placed(run, router, box):
    result = await run(
        "--to", NUMBER, "--url", router.url, "--sandbox-url", box.url, "--provider-fault", "vapi=sulking"
    )
    assert result.exit_code == 1
    assert "sulking" in result.output
    assert router.asked == []


@pytest.mark.usefixtures("account")
async def test_the_ai_answers_and_talks_in_real_time(run, router):
    router.serve("/webhooks/twilio/voice", STREAM)
    router.serve("/after", "<Hangup/>")
    result = await run("--to", NUMBER, "--url", router.url, "--talk", "0.01")
    assert result.exit_code == 0
    assert "answered by: ai" in result.output


NOTES = {
    "router_url": "http://127.0.0.1:1",
    "sandbox_url": "http://127.0.0.1:2",
    "account_sid": "ACdemo",
    "auth_token": "demo",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "demo.json").write_text(json.dumps(NOTES))
    return tmp_path


@pytest.fixture
def refused(capsys):
    """The block must end the command with one line that names this option or setting."""

    @contextmanager
    def refused(named: str) -> Iterator[None]:
        with pytest.raises(typer.Exit):
            yield
        (line,) = capsys.readouterr().err.splitlines()
        assert named in line

    return refused


def find(folder: Path, environ: dict[str, str], **options: Any) -> Target:
    return find_target({"CALLROUTER_DATA_DIR": str(folder), **environ}, **options)


def test_options_win_over_the_environment_and_the_environment_over_the_demo(folder):
    assert find(folder, {}).router_url == "http://127.0.0.1:1"
    environ = {"CALLROUTER_PUBLIC_URL": "https://calls.example/"}
    assert find(folder, environ).router_url == "https://calls.example"
    assert find(folder, environ, url="http://here.example").router_url == "http://here.example"


def test_an_account_and_its_token_come_from_one_source(folder, refused):
    environ = {"CALLROUTER_TWILIO_ACCOUNT_SID": ACCOUNT_SID, "CALLROUTER_TWILIO_AUTH_TOKEN": TOKEN}
    assert find(folder, environ).account_sid == ACCOUNT_SID
    assert find(folder, environ).auth_token.reveal() == TOKEN
    assert find(folder, {}).auth_token.reveal() == "demo"
    with refused("CALLROUTER_TWILIO_AUTH_TOKEN"):
        find(folder, {"CALLROUTER_TWILIO_ACCOUNT_SID": ACCOUNT_SID})


def test_settings_are_read_as_the_service_reads_them(folder, refused):
    environ = {
        "CALLROUTER_PUBLIC_URL": '"https://calls.example/"\r',
        "CALLROUTER_TWILIO_ACCOUNT_SID": f"'{ACCOUNT_SID}'",
        "CALLROUTER_TWILIO_AUTH_TOKEN": f"{TOKEN}\n",
    }
    target = find(folder, environ)
    assert (target.router_url, target.account_sid) == ("https://calls.example", ACCOUNT_SID)
    assert target.auth_token.reveal() == TOKEN
    with refused("CALLROUTER_TWILIO_AUTH_TOKEN: is a placeholder"):
        find(folder, environ | {"CALLROUTER_TWILIO_AUTH_TOKEN": "${TOKEN}"})


def test_a_token_may_be_in_a_file(folder, refused):
    (folder / "token").write_text(f'\ufeff"{TOKEN}"\r\n')
    environ = {
        "CALLROUTER_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "CALLROUTER_TWILIO_AUTH_TOKEN_FILE": str(folder / "token"),
    }
    assert find(folder, environ).auth_token.reveal() == TOKEN
    with refused("--auth-token-file"):
        find(folder, {}, auth_token_file=folder / "nowhere")


@pytest.mark.parametrize(
    ("twilio_url", "sandbox_url"),
    [
        ("http://127.0.0.1:7000/twilio", "http://127.0.0.1:7000"),
        ("http://127.0.0.1:7000/twilio/", "http://127.0.0.1:7000"),
        ("https://api.twilio.com", "http://127.0.0.1:2"),
    ],
)
def test_the_sandbox_is_found_by_the_twilio_url(folder, twilio_url, sandbox_url):
    assert find(folder, {"CALLROUTER_TWILIO_URL": twilio_url}).sandbox_url == sandbox_url


def test_without_notes_the_router_must_be_named(tmp_path, refused):
    with refused("--url"):
        find(tmp_path, {})


def test_notes_that_cannot_be_read_are_named(tmp_path, refused):
    (tmp_path / "demo.json").write_text("{")
    with refused("demo.json"):
        find(tmp_path, {})
