from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from router.store.calls.records import (
    ClearRinging,
    EndCall,
    InsertCall,
    InsertEvent,
    InsertStep,
    MarkAssistant,
    Record,
    SetAnswered,
    SetOutcome,
    SetProvider,
    SetRinging,
    StoreAnswer,
    in_few_statements,
)

AT = datetime(2026, 3, 2, tzinfo=UTC)


def step(call: str) -> list[Record]:
    """What one step of a call leaves."""
    return [
        SetProvider(call, "retell", AT),
        InsertEvent(f"{call}-1", call, AT, "call.received"),
        InsertEvent(f"{call}-2", call, AT, "handoff.succeeded"),
        StoreAnswer("AC1", f"CA-{call}", "inbound", AT, "sealed"),
    ]


def test_records_of_many_calls_take_one_statement():
    steps = [step(f"call_{number}") for number in range(100)]
    # As they are noted: the calls' records stand between each other's.
    batch = [record for turn in zip(*steps, strict=True) for record in turn]
    assert in_few_statements(batch) == [batch]


def test_what_needs_a_row_comes_after_the_statement_that_adds_it():
    call = InsertCall(
        "call_1",
        account_sid="AC1",
        call_sid="CA-call_1",
        agency_id="agency_1",
        client_id="client_1",
        from_number="+1",
        to_number="+2",
        started_at=AT,
    )
    inbound = InsertStep("AC1", "CA-call_1", "inbound", "call_1", AT)
    others, strangers = step("call_1"), step("call_2")
    assert in_few_statements([call, inbound, *others, *strangers]) == [[call, inbound, *strangers], others]


def test_a_phone_that_rings_again_rings():
    batch = [SetRinging("call_1", "+1", "+2", AT), ClearRinging("call_1"), SetRinging("call_1", "+1", "+2", AT)]
    assert in_few_statements(batch) == [[record] for record in batch]


def test_an_answer_is_written_with_the_end_of_its_call():
    answer, end = SetAnswered("call_1", "ai", "vapi", AT), EndCall("call_1", "event_1", AT, "ai", 7)
    other = SetAnswered("call_2", "ai", "retell", AT)
    assert in_few_statements([answer, other, end]) == [
        [other, replace(end, by="ai", provider="vapi", answered_at=AT)],
    ]
    ringing = ClearRinging("call_1")
    assert in_few_statements([answer, ringing, end]) == [[answer], [ringing], [end]]


RECORDS = st.builds(
    lambda kind, call: {
        "ring": SetRinging(call, "+1", "+2", AT),
        "clear": ClearRinging(call),
        "outcome": SetOutcome(call, "ai"),
        "answer": StoreAnswer("AC1", f"CA-{call}", "inbound", AT, "sealed"),
        "step": InsertStep("AC1", f"CA-{call}", "inbound", call, AT),
        "mark": MarkAssistant(f"client-of-{call}", "vapi", AT),
    }[kind],
    st.sampled_from(["ring", "clear", "outcome", "answer", "step", "mark"]),
    st.sampled_from(["call_1", "call_2", "call_3"]),
)


@given(st.lists(RECORDS, max_size=40))
def test_each_record_stays_behind_the_earlier_ones_about_the_same_call(batch: list[Record]):
    written = [record for group in in_few_statements(batch) for record in group]
    subjects = {subject for record in batch for subject in record.subjects}
    for subject in subjects:
        assert [each for each in written if subject in each.subjects] == [
            each for each in batch if subject in each.subjects
        ]
    assert len(written) == len(batch)


@given(st.lists(RECORDS, max_size=40))
def test_a_statement_changes_no_row_twice_and_none_that_it_adds(batch: list[Record]):
    for together in in_few_statements(batch):
        changed = [(each.changes, subject) for each in together if each.changes for subject in each.subjects]
        assert len(changed) == len(set(changed))
        for place, each in enumerate(together):
            added = {(earlier.adds, subject) for earlier in together[:place] for subject in earlier.subjects}
            assert not added & {(each.changes, subject) for subject in each.subjects if each.changes}
