from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from router.store.calls.records import (
    ClearRinging,
    InsertEvent,
    InsertStep,
    MarkAssistant,
    Record,
    SetOutcome,
    SetRinging,
    StoreAnswer,
    in_few_statements,
)

AT = datetime(2026, 3, 2, tzinfo=UTC)


def step(call: str) -> list[Record]:
    """What one step of a call leaves."""
    return [
        InsertStep("AC1", f"CA-{call}", "inbound", call, AT),
        InsertEvent(f"{call}-1", call, AT, "call.received"),
        InsertEvent(f"{call}-2", call, AT, "handoff.succeeded"),
        StoreAnswer("AC1", f"CA-{call}", "inbound", AT, "sealed"),
    ]


def test_records_of_many_calls_take_one_statement_for_each_kind():
    steps = [step(f"call_{number}") for number in range(100)]
    # As they are noted: the calls' records stand between each other's.
    batch = [record for turn in zip(*steps, strict=True) for record in turn]
    groups = in_few_statements(batch)
    assert [type(group[0]) for group in groups] == [InsertStep, InsertEvent, StoreAnswer]
    assert sorted(map(len, groups)) == [100, 100, 200]


def test_a_phone_that_rings_again_rings():
    batch = [SetRinging("call_1", "+1", "+2", AT), ClearRinging("call_1"), SetRinging("call_1", "+1", "+2", AT)]
    assert in_few_statements(batch) == [[record] for record in batch]


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
def test_a_statement_is_for_records_of_one_kind(batch: list[Record]):
    assert all(len({type(record) for record in group}) == 1 for group in in_few_statements(batch))
