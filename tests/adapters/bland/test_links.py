"""A number at Bland that somebody set up by hand can be linked; we add what we may, and take nothing away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.base import ErrorKind
from adapters.bland import Bland
from adapters.sandbox.bland import BlandOrg
from adapters.sandbox.server import RunningSandbox
from crypto.secret import Secret
from tests.adapters.bland.conftest import SIP
from tests.adapters.bland.examples import KEY, LIMIT, TOKEN, WIRING, DyingHttp, Killed
from tests.adapters.refusals import error_of

pytestmark = pytest.mark.anyio

NUMBER = "+14155550101"
THEIRS = "TL-theirs"


@pytest.fixture(autouse=True)
def number(box: RunningSandbox, org: BlandOrg) -> None:
    org.tools[THEIRS] = {"tool_id": THEIRS, "label": "Theirs", "public": False, "tool": {"name": "theirs"}}
    box.state.bland.add_number(
        org, NUMBER, prompt="Made by hand.", webhook="https://theirs.example/hook", tools=[THEIRS], voice="nat"
    )


async def test_a_number_with_a_prompt_can_be_linked(bland: Bland):
    await bland.check_link(NUMBER, KEY, LIMIT)


@pytest.mark.parametrize("answered_by", ["pathway_id", "persona_id"])
async def test_so_can_one_that_a_pathway_or_persona_answers(bland: Bland, org: BlandOrg, answered_by: str):
    org.numbers[NUMBER].update({"prompt": None, answered_by: "p1"})
    await bland.check_link(NUMBER, KEY, LIMIT)


@pytest.mark.parametrize("remote_id", ["", "14155550101", "persona-7", "+1415555010/../../me", "+14155550101\r\n"])
async def test_a_link_that_is_no_number_is_asked_for_nowhere(bland: Bland, box: RunningSandbox, remote_id: str):
    error = await error_of(bland.check_link(remote_id, KEY, LIMIT))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "a number at Bland is written like +14155550100")
    assert not box.state.requests


async def test_a_number_that_does_not_exist_there_is_refused(bland: Bland):
    error = await error_of(bland.check_link("+14155550199", KEY, LIMIT))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "Bland has no number +14155550199 for this key")


async def test_a_number_that_says_nothing_is_refused(bland: Bland, org: BlandOrg):
    org.numbers[NUMBER]["prompt"] = ""
    error = await error_of(bland.check_link(NUMBER, KEY, LIMIT))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, f"the number {NUMBER} has no prompt at Bland")


async def test_the_webhook_is_set_and_nothing_else(bland: Bland, org: BlandOrg):
    before = dict(org.numbers[NUMBER])
    await bland.manage_link(NUMBER, ["webhook"], WIRING, KEY, LIMIT)
    assert org.numbers[NUMBER] == before | {"webhook": WIRING.webhook_url}


async def test_the_transfer_joins_the_tools_that_are_there(bland: Bland, org: BlandOrg):
    before = dict(org.numbers[NUMBER])
    await bland.manage_link(NUMBER, ["transfer"], WIRING, KEY, LIMIT)
    theirs, ours = org.numbers[NUMBER]["tools"]
    assert theirs == THEIRS
    assert org.tools[ours]["tool"]["headers"]["x-callrouter-secret"] == TOKEN
    assert org.numbers[NUMBER] == before | {"tools": [THEIRS, ours]}
    await bland.manage_link(NUMBER, ["webhook", "transfer"], WIRING, KEY, LIMIT)
    assert org.numbers[NUMBER]["tools"] == [THEIRS, ours]
    assert len(org.tools) == 2


async def test_another_secret_replaces_our_tool_alone(bland: Bland, org: BlandOrg):
    await bland.manage_link(NUMBER, ["transfer"], WIRING, KEY, LIMIT)
    await bland.manage_link(NUMBER, ["transfer"], replace(WIRING, secret=Secret("another")), KEY, LIMIT)
    theirs, ours = org.numbers[NUMBER]["tools"]
    assert (theirs, len(org.tools)) == (THEIRS, 2)
    assert org.tools[ours]["tool"]["headers"]["x-callrouter-secret"] == "another"


async def test_a_tool_that_is_written_out_on_the_number_stays(bland: Bland, org: BlandOrg):
    inline = {"name": "inline", "url": "https://theirs.example"}
    org.numbers[NUMBER]["tools"] = [inline]
    await bland.manage_link(NUMBER, ["transfer"], WIRING, KEY, LIMIT)
    assert org.numbers[NUMBER]["tools"][0] == inline


async def test_where_bland_does_not_show_the_tools_ours_does_not_replace_them(bland: Bland, org: BlandOrg):
    del org.numbers[NUMBER]["tools"]
    error = await error_of(bland.manage_link(NUMBER, ["webhook", "transfer"], WIRING, KEY, LIMIT))
    assert (error.kind, "does not show the tools" in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert org.numbers[NUMBER]["webhook"] == "https://theirs.example/hook"


@pytest.mark.parametrize("answered_by", ["pathway_id", "persona_id"])
async def test_what_a_pathway_would_lose_is_not_touched(bland: Bland, org: BlandOrg, answered_by: str):
    org.numbers[NUMBER][answered_by] = "p1"
    before = dict(org.numbers[NUMBER])
    error = await error_of(bland.manage_link(NUMBER, ["webhook"], WIRING, KEY, LIMIT))
    assert (error.kind, "by hand" in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert org.numbers[NUMBER] == before


async def test_to_manage_nothing_asks_for_nothing(bland: Bland, box: RunningSandbox):
    await bland.manage_link(NUMBER, [], WIRING, KEY, LIMIT)
    assert not box.state.requests


async def test_what_a_link_goes_without(bland: Bland):
    assert bland.lost_of_link([]) == ("events", "transfer")
    assert bland.lost_of_link(["webhook"]) == ("transfer",)
    assert bland.lost_of_link(["transfer"]) == ("events",)
    assert bland.lost_of_link(["webhook", "transfer"]) == ()


@pytest.mark.parametrize("answered", [False, True], ids=["before the request", "before its answer"])
async def test_a_process_may_die_while_it_manages_a_link(
    bland: Bland, box: RunningSandbox, org: BlandOrg, answered: bool
):
    for lives in range(20):
        wiring = replace(WIRING, secret=Secret(f"secret-{lives}"))
        dying = DyingHttp(lives, answered=answered)
        try:
            await Bland(dying, f"{box.url}/bland", SIP).manage_link(NUMBER, ["transfer"], wiring, KEY, LIMIT)
        except Killed:
            await bland.manage_link(NUMBER, ["transfer"], wiring, KEY, LIMIT)
        else:
            assert lives == 5, "as many requests as it takes"
            break
        finally:
            await dying.aclose()
        theirs, ours = org.numbers[NUMBER]["tools"]
        assert (theirs, len(org.tools)) == (THEIRS, 2)
        assert org.tools[ours]["tool"]["headers"]["x-callrouter-secret"] == f"secret-{lives}"
