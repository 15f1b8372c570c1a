"""A client's assistant at Bland is on each of its numbers, whole, once, and is taken away without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.bland.settings import NEUTRAL
from adapters.portable import Assistant, Copy, Knowledge, Registration
from adapters.provider import Provider
from adapters.sandbox.api import Json
from adapters.sandbox.bland.org import BlandOrg
from adapters.sandbox.server import RunningSandbox
from tests.adapters.bland.conftest import SIP
from tests.adapters.bland.examples import (
    ACME,
    FUNCTION,
    KEY,
    LIMIT,
    PLAIN,
    PRICES,
    TOKEN,
    WIRING,
    DyingHttp,
    Killed,
    on,
)
from tests.adapters.refusals import error_of
from tests.support.adapters import bland_at

pytestmark = pytest.mark.anyio

NUMBER, SECOND = "+14155550101", "+14155550102"


@pytest.fixture
def host(bland: Provider[Any]) -> Provider[Any]:
    return bland


@pytest.fixture(autouse=True)
def numbers(box: RunningSandbox, org: BlandOrg) -> None:
    for e164 in (NUMBER, SECOND):
        box.state.bland.add_number(org, e164)


async def put(
    host: Provider[Any], assistant: Assistant, copy: Copy | None = None, numbers: Sequence[Registration] | None = None
) -> Copy:
    return await host.assistants.put_copy(
        host.open(KEY, LIMIT), assistant, WIRING, copy, on(NUMBER) if numbers is None else numbers
    )


def tools_of(org: BlandOrg, e164: str = NUMBER) -> list[Json]:
    """The custom tools that a number has, whole."""
    return [org.tools[part]["tool"] for part in org.numbers[e164]["tools"] if part in org.tools]


def bases(org: BlandOrg) -> list[Json]:
    return [base for base in org.knowledge.values() if base["status"] != "DELETED"]


async def test_a_definition_becomes_settings_of_the_number(host: Provider[Any], org: BlandOrg):
    await put(host, ACME)
    number = org.numbers[NUMBER]
    assert number["prompt"] == "You answer the phone for Acme."
    assert number["first_sentence"] == "Acme Plumbing, how can I help?"
    assert (number["language"], number["timezone"], number["model"]) == ("en-GB", "Europe/London", "base")
    assert number["max_duration"] == 11  # minutes, rounded up
    assert (number["voice"], number["background_track"]) == ("maya", "office")
    assert number["webhook"] == WIRING.webhook_url
    assert number["webhook_events"] == []
    assert number["metadata"] == {"marker": "client_1"}
    assert number["transfer_phone_number"] is None
    assert number["fallback_number"] is None


async def test_a_function_becomes_a_tool_that_sends_what_the_model_filled_in(host: Provider[Any], org: BlandOrg):
    await put(host, replace(PLAIN, functions=(FUNCTION,)))
    (tool,) = tools_of(org)
    assert tool["name"].startswith("book_visit_")
    assert (tool["url"], tool["method"], tool["description"]) == ("https://acme.example/book", "POST", "Books a visit")
    assert tool["input_schema"] == FUNCTION.parameters
    assert tool["body"] == {
        "name": "book_visit",
        "call": {
            "call_id": "{{call_id}}",
            "metadata": {"router_call_id": "{{router_call_id}}", "twilio_call_sid": "{{twilio_call_sid}}"},
        },
        "args": "{{input}}",
    }
    assert TOKEN not in str(tool)


async def test_whoever_wants_a_person_is_put_through_by_us(host: Provider[Any], org: BlandOrg):
    await put(host, replace(PLAIN, transfer_to="+442079460000"))
    (tool,) = tools_of(org)
    assert tool["name"].startswith("put_caller_through_")
    assert tool["url"] == WIRING.transfer_url
    assert tool["headers"]["x-callrouter-secret"] == TOKEN
    assert tool["body"] == {
        "call_id": "{{call_id}}",
        "from": "{{from}}",
        "to": "{{to}}",
        "reason": "{{input.reason}}",
        "router_call_id": "{{router_call_id}}",
        "twilio_call_sid": "{{twilio_call_sid}}",
    }
    assert "442079460000" not in str(tool), "whom to ring is ours to know"


@pytest.mark.parametrize("name", ["record_lead", "Display-Prices", "transfer", "say_INPUT"])
async def test_a_function_may_have_a_name_that_bland_keeps_for_itself(host: Provider[Any], org: BlandOrg, name: str):
    await put(host, replace(PLAIN, functions=(replace(FUNCTION, name=name),)))
    assert tools_of(org)[0]["body"]["name"] == name


async def test_all_texts_become_one_knowledge_base(host: Provider[Any], org: BlandOrg):
    await put(host, replace(PLAIN, knowledge=(PRICES, Knowledge("Hours", "Open at nine."))))
    (base,) = bases(org)
    assert base["text"] == "# Prices\n\nA visit is $80.\n\n# Hours\n\nOpen at nine."
    assert base["id"] in org.numbers[NUMBER]["tools"]
    assert org.numbers[NUMBER]["prompt"] == PLAIN.prompt


async def test_every_number_of_the_client_gets_it(host: Provider[Any], org: BlandOrg):
    await put(host, ACME, numbers=on(NUMBER, SECOND))
    assert org.numbers[SECOND] | {"phone_number": NUMBER} == org.numbers[NUMBER]
    assert len(org.tools) == 2


async def test_what_a_definition_leaves_open_is_not_left_to_blands_defaults(host: Provider[Any], org: BlandOrg):
    await put(host, ACME)
    await put(host, PLAIN)
    number = org.numbers[NUMBER]
    assert (number["timezone"], number["max_duration"], number["language"]) == ("UTC", 30, "en-US")
    assert (number["first_sentence"], number["background_track"], number["tools"]) == (None, None, [])


@pytest.mark.parametrize(
    ("language", "at_bland", "lost"),
    [
        ("en-us", "en-US", False),
        ("es-ES", "es", False),
        ("pt-BR", "pt-BR", False),
        ("fr-BE", "fr", False),
        ("eu", "auto", True),
    ],
)
async def test_the_nearest_language_is_spoken(
    host: Provider[Any], org: BlandOrg, language: str, at_bland: str, lost: bool
):
    assistant = replace(PLAIN, languages=(language,))
    await put(host, assistant)
    assert org.numbers[NUMBER]["language"] == at_bland
    assert host.assistants.lost_features(assistant) == (("languages",) if lost else ())


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"languages": ("es-ES", "en-US")}, ("languages",)),
        ({"voicemail_detection": True}, ("voicemail_detection",)),
        ({"voice": {"voice": "maya", "song": "la"}}, ("voice",)),
        ({"functions": (FUNCTION, replace(FUNCTION, name="other", url="http://acme.example"))}, ("functions",)),
        ({"knowledge": (Knowledge("All", "é" * 500_000),)}, ("knowledge",)),
    ],
)
async def test_what_bland_cannot_do_is_said_and_the_rest_is_done(
    host: Provider[Any], org: BlandOrg, changes: dict[str, object], lost: tuple[str, ...]
):
    assistant = replace(PLAIN, **changes)  # type: ignore[arg-type]
    assert host.assistants.lost_features(assistant) == lost
    await put(host, assistant)
    number = org.numbers[NUMBER]
    assert number["prompt"] == PLAIN.prompt
    assert number.get("voice") == ("maya" if "voice" in changes else None)
    assert len(number["tools"]) == (1 if "functions" in changes else 0)


async def test_a_change_replaces_tools_and_knowledge_that_it_concerns(host: Provider[Any], org: BlandOrg):
    copy = await put(host, ACME)
    booking = next(tool_id for tool_id, tool in org.tools.items() if tool["tool"]["name"].startswith("book"))
    copy = await put(host, replace(ACME, knowledge=(Knowledge("Prices", "A visit is $90."),)), copy)
    assert [base["text"] for base in bases(org)] == ["# Prices\n\nA visit is $90."]
    assert booking in org.tools
    copy = await put(host, replace(ACME, functions=(replace(FUNCTION, description="Books"),), knowledge=()), copy)
    assert next(tool["description"] for tool in tools_of(org)) == "Books"
    assert len(org.tools) == 2
    assert booking not in org.tools
    assert not bases(org)
    await put(host, PLAIN, copy)
    assert not org.tools


async def test_another_secret_of_ours_reaches_the_transfer(host: Provider[Any], org: BlandOrg):
    copy = await put(host, ACME)
    wiring = replace(WIRING, secret=type(WIRING.secret)("another-secret"))
    await host.assistants.put_copy(host.open(KEY, LIMIT), ACME, wiring, copy, on(NUMBER))
    secrets = [tool["headers"].get("x-callrouter-secret") for tool in tools_of(org)]
    assert secrets == [None, "another-secret"]
    assert len(org.tools) == 2


async def test_what_was_put_is_found_by_its_marker(host: Provider[Any]):
    assert await host.assistants.find_copy(host.open(KEY, LIMIT), "client_1") is None
    made = await put(host, ACME)
    assert made.remote_id is None
    assert await host.assistants.find_copy(host.open(KEY, LIMIT), "client_1") == made
    assert await host.assistants.find_copy(host.open(KEY, LIMIT), "client_2") is None


async def test_an_assistant_without_parts_is_found_on_its_number(host: Provider[Any]):
    await put(host, PLAIN)
    assert await host.assistants.find_copy(host.open(KEY, LIMIT), "client_1") == Copy(None, {"marker": "client_1"})


async def test_clients_do_not_touch_each_others_parts(host: Provider[Any], org: BlandOrg):
    await put(host, ACME)
    other = replace(ACME, marker="client_2")
    copy = await put(host, other, numbers=on(SECOND))
    assert len(org.tools) == 4
    await host.assistants.delete_copy(host.open(KEY, LIMIT), copy, on(SECOND))
    assert len(tools_of(org)) == 2
    assert org.numbers[NUMBER]["metadata"] == {"marker": "client_1"}
    assert len(bases(org)) == 1


async def test_knowledge_is_found_on_any_page_and_never_among_what_was_deleted(host: Provider[Any], org: BlandOrg):
    for each in range(130):
        org.knowledge[f"kb_{each}"] = {"id": f"kb_{each}", "name": f"Theirs {each}", "status": "COMPLETED"}
    copy = await put(host, ACME)
    await put(host, ACME, copy)
    assert len(bases(org)) == 131
    bases(org)[-1]["status"] = "DELETED"
    await put(host, ACME, copy)
    assert len(bases(org)) == 131
    assert bases(org)[-1]["id"] in org.numbers[NUMBER]["tools"]


async def test_knowledge_that_bland_could_not_read_is_sent_again(host: Provider[Any], org: BlandOrg):
    copy = await put(host, ACME)
    bases(org)[0]["status"] = "FAILED"
    await put(host, ACME, copy)
    assert [base["status"] for base in bases(org)] == ["COMPLETED"]


async def test_where_bland_makes_no_more_knowledge_bases_the_prompt_takes_what_fits(
    host: Provider[Any], box: RunningSandbox, org: BlandOrg
):
    box.state.bland.knowledge.most = 0
    await put(host, ACME)
    assert org.numbers[NUMBER]["prompt"] == "You answer the phone for Acme.\n\n# Prices\n\nA visit is $80."
    much = replace(ACME, knowledge=(Knowledge("All", "Much to know. " * 2000),))
    refused = await error_of(put(host, much))
    assert (refused.kind, "upload limit" in refused.said) == (ErrorKind.BAD_REQUEST, True)


async def test_a_second_knowledge_base_too_soon_is_a_matter_of_waiting(
    host: Provider[Any], box: RunningSandbox, org: BlandOrg, clock
):
    box.state.bland.knowledge.pause = timedelta(seconds=10)
    await put(host, ACME)
    other = replace(ACME, marker="client_2")
    assert (await error_of(put(host, other, numbers=on(SECOND)))).kind is ErrorKind.RATE_LIMITED
    clock.advance(seconds=11)
    await put(host, other, numbers=on(SECOND))
    assert (len(org.tools), len(bases(org))) == (4, 2)


async def test_knowledge_can_be_kept_in_the_prompt_altogether(box: RunningSandbox, http, org: BlandOrg):
    bland = bland_at(http, f"{box.url}/bland", SIP, knowledge="prompt")
    await bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, None, on(NUMBER))
    assert "A visit is $80." in org.numbers[NUMBER]["prompt"]
    assert not bases(org)
    assert bland.assistants.lost_features(ACME) == ()
    assert bland.assistants.lost_features(replace(ACME, knowledge=(Knowledge("All", "x" * 12_001),))) == ("knowledge",)


@pytest.mark.parametrize("by_hand", ["pathway_id", "persona_id"])
async def test_a_number_that_a_pathway_answers_is_left_alone(
    host: Provider[Any], box: RunningSandbox, org: BlandOrg, by_hand: str
):
    box.state.bland.add_number(org, SECOND, **{by_hand: "made-by-hand"})
    before = dict(org.numbers[SECOND])
    copy = await put(host, ACME, numbers=on(SECOND, NUMBER))
    assert list(copy.left_out) == [SECOND]
    assert SECOND in copy.left_out[SECOND]
    refused = await error_of(put(host, ACME, numbers=on(SECOND)))
    assert (refused.kind, SECOND in refused.said) == (ErrorKind.BAD_REQUEST, True), "it is the only one"
    assert org.numbers[SECOND] == before
    assert org.numbers[NUMBER]["metadata"] == {"marker": "client_1"}, "the others are served"


async def test_a_number_of_ours_is_taken_back_from_a_pathway(host: Provider[Any], org: BlandOrg):
    copy = await put(host, ACME)
    org.numbers[NUMBER].update(pathway_id="made-by-hand", prompt=None)
    await put(host, ACME, copy)
    assert (org.numbers[NUMBER]["pathway_id"], org.numbers[NUMBER]["prompt"]) == (None, ACME.prompt)


async def test_a_number_that_is_gone_is_named_and_keeps_none_of_the_others_back(host: Provider[Any], org: BlandOrg):
    copy = await put(host, ACME, numbers=on("+14155550199", NUMBER))
    assert copy.left_out == {"+14155550199": "Bland has no number +14155550199 for this key"}
    assert org.numbers[NUMBER]["metadata"] == {"marker": "client_1"}


async def test_parts_that_were_deleted_there_are_made_anew(host: Provider[Any], org: BlandOrg):
    copy = await put(host, ACME)
    org.tools.clear()
    org.knowledge.clear()
    await put(host, ACME, copy)
    assert (len(tools_of(org)), len(bases(org))) == (2, 1)


async def test_a_client_without_a_number_is_no_mistake(host: Provider[Any], org: BlandOrg):
    copy = await put(host, ACME, numbers=[])
    await put(host, ACME, copy)
    assert (len(tools_of(org)), len(bases(org))) == (2, 1)


async def test_deleting_leaves_a_number_that_takes_messages(host: Provider[Any], org: BlandOrg):
    copy = await put(host, ACME, numbers=on(NUMBER, SECOND))
    await host.assistants.delete_copy(host.open(KEY, LIMIT), copy, on(NUMBER))
    for e164 in (NUMBER, SECOND):  # the second is found by the marker on it
        assert {name: org.numbers[e164][name] for name in NEUTRAL} == dict(NEUTRAL)
    assert not org.tools
    assert not bases(org)
    await host.assistants.delete_copy(host.open(KEY, LIMIT), copy, on(NUMBER))  # gone already


async def test_deleting_spares_a_number_that_went_to_another_client_or_to_a_pathway(host: Provider[Any], org: BlandOrg):
    copy = await put(host, PLAIN, numbers=on(NUMBER, SECOND))
    await put(host, replace(PLAIN, marker="client_2", prompt="Other."), numbers=on(NUMBER))
    org.numbers[SECOND].update(pathway_id="p1", metadata={})
    await host.assistants.delete_copy(host.open(KEY, LIMIT), copy, on(NUMBER, SECOND, "+14155550199"))
    assert org.numbers[NUMBER]["prompt"] == "Other."
    assert org.numbers[SECOND]["pathway_id"] == "p1"


async def test_what_a_dead_process_left_is_deleted_too(host: Provider[Any], box: RunningSandbox, org: BlandOrg):
    copy = await put(host, PLAIN)
    dying = DyingHttp(4, answered=True)
    bland = bland_at(dying, f"{box.url}/bland", SIP)
    with pytest.raises(Killed):
        await bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, copy, on(NUMBER))
    await dying.aclose()
    assert org.tools
    await host.assistants.delete_copy(host.open(KEY, LIMIT), copy, on(NUMBER))
    assert (org.tools, bases(org)) == ({}, [])


@pytest.mark.parametrize("answered", [False, True], ids=["before the request", "before its answer"])
async def test_a_process_may_die_between_any_two_requests(
    host: Provider[Any], box: RunningSandbox, org: BlandOrg, answered: bool
):
    """Each time with a definition that replaces every part, so that something is made and something deleted."""
    copy: Copy | None = None
    for lives in range(40):
        assistant = replace(
            ACME,
            functions=(replace(FUNCTION, description=f"Books, {lives}"),),
            knowledge=(Knowledge("Prices", f"A visit is ${lives}."),),
        )
        dying = DyingHttp(lives, answered=answered)
        try:
            bland = bland_at(dying, f"{box.url}/bland", SIP)
            await bland.assistants.put_copy(bland.open(KEY, LIMIT), assistant, WIRING, copy, on(NUMBER, SECOND))
        except Killed:
            found = copy or await host.assistants.find_copy(host.open(KEY, LIMIT), "client_1")
            copy = await put(host, assistant, found, on(NUMBER, SECOND))
        else:
            assert lives == 10, "as many requests as it takes"
            break
        finally:
            await dying.aclose()
        assert (len(org.tools), len(bases(org))) == (2, 1), f"after dying at request {lives + 1}"
        assert next(tool["description"] for tool in tools_of(org, SECOND)) == f"Books, {lives}"
    else:
        raise AssertionError("it never came to an end")
