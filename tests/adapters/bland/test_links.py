"""A number at Bland that somebody set up by hand can be linked; we add what we may, and take nothing away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.provider import Provider
from adapters.sandbox.bland.org import BlandOrg
from adapters.sandbox.server import RunningSandbox
from crypto.secret import Secret
from tests.adapters.bland.conftest import SIP
from tests.adapters.bland.examples import KEY, LIMIT, TOKEN, WIRING, DyingHttp, Killed
from tests.adapters.refusals import error_of
from tests.support.adapters import bland_at

pytestmark = pytest.mark.anyio

NUMBER = "+14155550101"
THEIRS = "TL-theirs"


@pytest.fixture(autouse=True)
def number(box: RunningSandbox, org: BlandOrg) -> None:
    org.tools[THEIRS] = {"tool_id": THEIRS, "label": "Theirs", "public": False, "tool": {"name": "theirs"}}
    box.state.bland.add_number(
        org, NUMBER, prompt="Made by hand.", webhook="https://theirs.example/hook", tools=[THEIRS], voice="nat"
    )


async def test_a_number_with_a_prompt_can_be_linked(bland: Provider[Any]):
    await bland.assistants.check_link(bland.open(KEY, LIMIT), NUMBER)


@pytest.mark.parametrize("answered_by", ["pathway_id", "persona_id"])
async def test_so_can_one_that_a_pathway_or_persona_answers(bland: Provider[Any], org: BlandOrg, answered_by: str):
    org.numbers[NUMBER].update({"prompt": None, answered_by: "p1"})
    await bland.assistants.check_link(bland.open(KEY, LIMIT), NUMBER)


@pytest.mark.parametrize("remote_id", ["", "14155550101", "persona-7", "+1415555010/../../me", "+14155550101\r\n"])
async def test_a_link_that_is_no_number_is_asked_for_nowhere(bland: Provider[Any], box: RunningSandbox, remote_id: str):
    error = await error_of(bland.assistants.check_link(bland.open(KEY, LIMIT), remote_id))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "a number at Bland is written like +14155550100")
    assert not box.state.requests


async def test_a_number_that_does_not_exist_there_is_refused(bland: Provider[Any]):
    error = await error_of(bland.assistants.check_link(bland.open(KEY, LIMIT), "+14155550199"))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "Bland has no number +14155550199 for this key")


async def test_a_number_that_says_nothing_is_refused(bland: Provider[Any], org: BlandOrg):
    org.numbers[NUMBER]["prompt"] = ""
    error = await error_of(bland.assistants.check_link(bland.open(KEY, LIMIT), NUMBER))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, f"the number {NUMBER} has no prompt at Bland")


async def test_the_webhook_is_set_and_nothing_else(bland: Provider[Any], org: BlandOrg):
    before = dict(org.numbers[NUMBER])
    await bland.assistants.manage_link(bland.open(KEY, LIMIT), NUMBER, ["webhook"], WIRING)
    assert org.numbers[NUMBER] == before | {"webhook": WIRING.webhook_url}


async def test_the_transfer_joins_the_tools_that_are_there(bland: Provider[Any], org: BlandOrg):
    before = dict(org.numbers[NUMBER])
    await bland.assistants.manage_link(bland.open(KEY, LIMIT), NUMBER, ["transfer"], WIRING)
    theirs, ours = org.numbers[NUMBER]["tools"]
    assert theirs == THEIRS
    assert org.tools[ours]["tool"]["headers"]["x-callrouter-secret"] == TOKEN
    assert org.numbers[NUMBER] == before | {"tools": [THEIRS, ours]}
    await bland.assistants.manage_link(bland.open(KEY, LIMIT), NUMBER, ["webhook", "transfer"], WIRING)
    assert org.numbers[NUMBER]["tools"] == [THEIRS, ours]
    assert len(org.tools) == 2


async def test_another_secret_replaces_our_tool_alone(bland: Provider[Any], org: BlandOrg):
    await bland.assistants.manage_link(bland.open(KEY, LIMIT), NUMBER, ["transfer"], WIRING)
    await bland.assistants.manage_link(
        bland.open(KEY, LIMIT), NUMBER, ["transfer"], replace(WIRING, secret=Secret("another"))
    )
    theirs, ours = org.numbers[NUMBER]["tools"]
    assert (theirs, len(org.tools)) == (THEIRS, 2)
    assert org.tools[ours]["tool"]["headers"]["x-callrouter-secret"] == "another"


async def test_a_tool_that_is_written_out_on_the_number_stays(bland: Provider[Any], org: BlandOrg):
    inline = {"name": "inline", "url": "https://theirs.example"}
    org.numbers[NUMBER]["tools"] = [inline]
    await bland.assistants.manage_link(bland.open(KEY, LIMIT), NUMBER, ["transfer"], WIRING)
    assert org.numbers[NUMBER]["tools"][0] == inline


async def test_where_bland_does_not_show_the_tools_ours_does_not_replace_them(bland: Provider[Any], org: BlandOrg):
    del org.numbers[NUMBER]["tools"]
    error = await error_of(
        bland.assistants.manage_link(bland.open(KEY, LIMIT), NUMBER, ["webhook", "transfer"], WIRING)
    )
    assert (error.kind, "does not show the tools" in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert org.numbers[NUMBER]["webhook"] == "https://theirs.example/hook"


@pytest.mark.parametrize("answered_by", ["pathway_id", "persona_id"])
async def test_what_a_pathway_would_lose_is_not_touched(bland: Provider[Any], org: BlandOrg, answered_by: str):
    org.numbers[NUMBER][answered_by] = "p1"
    before = dict(org.numbers[NUMBER])
    error = await error_of(bland.assistants.manage_link(bland.open(KEY, LIMIT), NUMBER, ["webhook"], WIRING))
    assert (error.kind, "by hand" in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert org.numbers[NUMBER] == before


@pytest.mark.parametrize("answered", [False, True], ids=["before the request", "before its answer"])
async def test_a_process_may_die_while_it_manages_a_link(
    bland: Provider[Any], box: RunningSandbox, org: BlandOrg, answered: bool
):
    for lives in range(20):
        wiring = replace(WIRING, secret=Secret(f"secret-{lives}"))
        dying = DyingHttp(lives, answered=answered)
        try:
            mortal = bland_at(dying, f"{box.url}/bland", SIP)
            await mortal.assistants.manage_link(mortal.open(KEY, LIMIT), NUMBER, ["transfer"], wiring)
        except Killed:
            await bland.assistants.manage_link(bland.open(KEY, LIMIT), NUMBER, ["transfer"], wiring)
        else:
            assert lives == 5, "as many requests as it takes"
            break
        finally:
            await dying.aclose()
        theirs, ours = org.numbers[NUMBER]["tools"]
        assert (theirs, len(org.tools)) == (THEIRS, 2)
        assert org.tools[ours]["tool"]["headers"]["x-callrouter-secret"] == f"secret-{lives}"
