"""A call to a number of Retell's own: we say who answers, and hear what became of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from adapters.base import ProviderEvent
from adapters.portable import Copy
from adapters.sandbox.retell import Retell as RetellStandIn
from adapters.sandbox.retell.native import Notice
from tests.adapters.retell.conftest import ACME, WEBHOOK, WIRING, Account

pytestmark = pytest.mark.anyio

LIMIT = 10.0
CALLER = "+15550001111"


@pytest.fixture
def stand_in(box) -> RetellStandIn:
    return box.state.retell


async def put(account: Account) -> Copy:
    return await account.retell.put_copy(ACME, WIRING, None, [], account.key, LIMIT)


async def buy(account: Account, copy: Copy | None) -> str:
    number = await account.retell.buy_native("US", None, "client", copy, WIRING, None, account.key, LIMIT)
    return number.e164


def read(account: Account, notice: Notice | None) -> ProviderEvent:
    """As the webhook's endpoint does: proven first, then read."""
    assert notice is not None
    assert notice.url == WEBHOOK
    assert account.retell.verify_webhook(notice.headers, notice.body, [account.key], datetime.now(UTC))
    return account.retell.read_event(notice.body)


async def test_the_clients_assistant_answers_and_its_call_is_ours(account: Account, stand_in: RetellStandIn):
    copy = await put(account)
    e164 = await buy(account, None)
    call_id, question = stand_in.native.ring(account.org, e164, CALLER)
    asked = read(account, question)
    assert (asked.kind, asked.provider_call_id, asked.caller, asked.to) == ("asked", call_id, CALLER, e164)

    variables, metadata = {"client_name": "Acme", "caller_number": CALLER}, {"router_call_id": "call_1"}
    answer = account.retell.answer_question(asked, str(copy.remote_id), variables, metadata)
    agent = stand_in.native.settle(account.org, call_id, 200, json.dumps(answer).encode())
    assert agent is account.published[0]
    assert account.org.calls[call_id].record["retell_llm_dynamic_variables"] == variables

    started = read(account, stand_in.native.tell(account.org, call_id, "call_started"))
    ended = read(
        account,
        stand_in.native.tell(
            account.org, call_id, "call_ended", disconnection_reason="user_hangup", duration_ms=61_000
        ),
    )
    assert (started.kind, started.call_id, started.caller, started.to) == ("started", "call_1", CALLER, e164)
    assert (ended.kind, ended.call_id, ended.reason, ended.seconds) == ("ended", "call_1", "user_hangup", 61)


@pytest.mark.parametrize(("status", "answer"), [(503, b""), (500, b"oops"), (200, b""), (200, b"{}")])
async def test_the_numbers_own_agent_answers_when_we_do_not(
    account: Account, stand_in: RetellStandIn, status: int, answer: bytes
):
    copy = await put(account)
    call_id, _ = stand_in.native.ring(account.org, await buy(account, copy), CALLER)
    agent = stand_in.native.settle(account.org, call_id, status, answer)
    assert agent is account.published[0]


async def test_without_anybody_the_caller_is_turned_away(account: Account, stand_in: RetellStandIn):
    call_id, _ = stand_in.native.ring(account.org, await buy(account, None), CALLER)
    assert stand_in.native.settle(account.org, call_id, 503, b"") is None
