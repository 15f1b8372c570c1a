"""`callrouter explain`: what it prints and how it exits, asking a running service over real HTTP."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest
from typer.testing import CliRunner

from tests.router.cli.commands import APP
from tests.support.scripted_router import running_router
from tests.support.world import ADMIN_TOKEN

pytestmark = pytest.mark.anyio

CALLER = "+14155550111"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """As on a machine where nothing is set."""
    for name in ("PUBLIC_URL", "ADMIN_TOKEN", "ADMIN_TOKEN_FILE"):
        monkeypatch.delenv(f"CALLROUTER_{name}", raising=False)
    monkeypatch.setenv("CALLROUTER_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return monkeypatch


@pytest.fixture
def run(environment):  # noqa: ARG001 - it must have been cleared
    async def run(*arguments):
        return await asyncio.to_thread(partial(CliRunner().invoke, APP, ["explain", *arguments]))

    return run


@pytest.fixture
def there(environment, world):
    """A terminal that knows where the service is and what opens it."""
    environment.setenv("CALLROUTER_PUBLIC_URL", f"{world.urls[0]}/\r")
    environment.setenv("CALLROUTER_ADMIN_TOKEN", f'"{ADMIN_TOKEN}"\n')  # as env files may leave them
    return world


async def test_each_rung_is_shown_with_its_reason(run, there):
    client = await there.add_client(providers=["vapi", "retell"])
    await there.db.execute("DELETE FROM assistants WHERE provider = 'vapi'")
    await there.db.execute("UPDATE assistants SET lost = '{events, transfer}'")
    result = await run("--to", client.number)
    assert result.exit_code == 0, result.output
    heading, *rungs = [" ".join(line.split()) for line in result.output.splitlines()]
    assert client.number in heading
    assert rungs == [
        "ai vapi not_synced the client has no assistant there",
        "→ ai retell ready takes the call (no events, no transfer)",
        "voicemail stands_by used only if the rungs above it fail",
        "owner on_failure_is_voicemail the client's settings do not ring the owner",
    ]
    assert ADMIN_TOKEN not in result.output


async def test_json_contains_the_same(run, there):
    client = await there.add_client(providers=["vapi"], agency_id=None)
    await there.add_client(providers=["vapi"])
    result = await run("--to", client.number, "--from", CALLER, "--json")
    answer = json.loads(result.output)
    assert (answer["to"], answer["from"], answer["agency_id"]) == (client.number, CALLER, client.agency_id)
    ready = {"step": "ai", "provider": "vapi", "would_take": True, "reason": "ready", "notes": []}
    assert answer["rungs"][0] == ready


async def test_another_time_can_be_asked_about(run, there):
    hours = {"timezone": "Europe/London", "open": [{"days": ["mon"], "from": "09:00", "to": "17:00"}]}
    client = await there.add_client(providers=["vapi"], routing={"hours": hours})
    for at, step in (("2026-03-02T09:00:00Z", "ai"), ("2026-03-02T18:30:00+01:00", "voicemail")):
        answer = json.loads((await run("--to", client.number, "--at", at, "--json")).output)
        assert [rung["step"] for rung in answer["rungs"] if rung["would_take"]] == [step]
    assert "at 2026-03-02T18:30:00+01:00" in (await run("--to", client.number, "--at", at)).output


@pytest.mark.parametrize("at", ["tomorrow", "2026-03-02T09:00:00", "09:00", "2026-02-30T09:00:00Z"])
async def test_a_time_without_an_offset_is_wrong_usage(run, there, at):  # noqa: ARG001
    result = await run("--to", "+15005550101", "--at", at)
    assert result.exit_code == 2
    assert result.stderr.startswith("callrouter: --at: must be a time with its offset")


async def test_the_caller_can_change_the_result(run, there):
    client = await there.add_client(providers=["vapi"], routing={"mode": "owner_first"})
    await there.db.execute(
        "INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at, "
        "ringing_phone, ringing_shows, ringing_until) "
        "VALUES ('call_1', 'AC', 'CA', $1, $2, $3, $4, now(), '+1', $3, now() + interval '1 minute')",
        client.agency_id,
        client.client_id,
        CALLER,
        client.number,
    )
    assert "suspected_loop" in (await run("--to", client.number, "--from", CALLER)).output
    assert "suspected_loop" not in (await run("--to", client.number)).output


async def test_a_number_on_two_agencies_accounts_is_explained_for_both(run, there):
    ours, theirs = await there.add_client(own_account=True), await there.add_client(providers=[])
    await there.db.execute("UPDATE numbers SET e164 = $1 WHERE e164 = $2", ours.number, theirs.number)
    result = await run("--to", ours.number)
    assert result.exit_code == 0
    assert result.output.count(ours.number) == 2
    assert result.output.count("→") == 2


async def test_the_token_may_be_in_a_file_or_where_the_service_generated_it(run, environment, there, tmp_path):
    client = await there.add_client()
    environment.delenv("CALLROUTER_ADMIN_TOKEN")
    refused = await run("--to", client.number)
    assert refused.exit_code == 2
    assert "CALLROUTER_ADMIN_TOKEN" in refused.output

    generated = tmp_path / "home" / "secrets" / "admin-token"
    generated.parent.mkdir(parents=True)
    generated.write_text(f"{ADMIN_TOKEN}\n")
    assert (await run("--to", client.number)).exit_code == 0

    generated.rename(tmp_path / "token")
    environment.setenv("CALLROUTER_ADMIN_TOKEN_FILE", str(tmp_path / "token"))
    assert (await run("--to", client.number)).exit_code == 0


async def test_a_running_demo_needs_no_url_or_token(run, world, tmp_path):
    client = await world.add_client()
    folder = tmp_path / "home"
    (folder / "demo" / "secrets").mkdir(parents=True)
    (folder / "demo" / "secrets" / "admin-token").write_text(ADMIN_TOKEN)
    notes = {"router_url": world.urls[0], "numbers": [{"e164": client.number}]}
    (folder / "demo.json").write_text(json.dumps(notes))
    assert (await run("--to", client.number)).exit_code == 0
    assert client.number in (await run()).output, "without --to, the demo's numbers are named"


async def test_an_unknown_number_is_a_failure(run, there):  # noqa: ARG001
    result = await run("--to", "+15005559999")
    assert result.exit_code == 1
    assert "+15005559999" in result.output


async def test_a_token_that_is_refused_is_a_wrong_setting(run, there, environment):  # noqa: ARG001
    environment.setenv("CALLROUTER_ADMIN_TOKEN", "canary_not_the_token_0123456789")
    result = await run("--to", "+15005559999")
    assert result.exit_code == 2
    assert "CALLROUTER_ADMIN_TOKEN" in result.output
    assert "canary" not in result.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--to"),
        (["--to", "5005550101"], "--to"),
        (["--to", "+15005550101", "--from", "Bella"], "--from"),
    ],
)
async def test_an_invalid_number_is_wrong_usage(run, environment, arguments, named):
    environment.setenv("CALLROUTER_ADMIN_TOKEN", ADMIN_TOKEN)
    result = await run(*arguments, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert named in result.output


async def test_without_an_address_it_asks_for_one(run):
    result = await run("--to", "+15005550101")
    assert result.exit_code == 2
    assert "--url" in result.output


async def test_a_router_that_cannot_be_reached_is_a_failure_in_one_line(run, environment):
    environment.setenv("CALLROUTER_ADMIN_TOKEN", ADMIN_TOKEN)
    result = await run("--to", "+15005550101", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "cannot be reached" in line


async def test_something_else_that_answers_there_is_a_failure_in_one_line(run, environment):
    environment.setenv("CALLROUTER_ADMIN_TOKEN", ADMIN_TOKEN)
    async with running_router() as other:
        result = await run("--to", "+15005550101", "--url", other.url)
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "is not callrouter" in line
