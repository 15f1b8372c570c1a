"""Steps as addresses and rows have them."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.calls.steps import INBOUND, LOST, Step, StepKind

steps = st.builds(Step, st.sampled_from(get_args(StepKind)), st.integers(0, 9999))
rungs = st.lists(st.sampled_from(["ai", "owner", "voicemail"]), min_size=1, max_size=20)


@given(steps)
def test_a_step_comes_back_from_its_text(step: Step):
    assert Step.parse(str(step)) == step


@pytest.mark.parametrize(("step", "text"), [(INBOUND, "inbound"), (Step("ai", 1), "ai-1"), (Step("end"), "end")])
def test_steps_have_the_texts_that_rows_have(step: Step, text: str):
    assert str(step) == text


@pytest.mark.parametrize("text", ["", "ai-", "ai-x", "ai-12345", "AI-1", "ai-1 ", "somewhere-1", "ai-٣", "-1"])
def test_what_is_no_step_is_refused(text: str):
    with pytest.raises(ValueError, match="no step"):
        Step.parse(text)


@given(rungs, st.integers(0, 20), st.integers(0, 20))
def test_no_two_steps_of_a_call_have_the_same_text(kinds: list, moved_at: int, transfers: int):
    """Down a ladder, moved to a person some times on the way, and once after its state was lost."""
    ladder = [INBOUND]
    for kind in kinds:
        ladder.append(ladder[-1].after(kind))
    at = ladder[min(moved_at, len(ladder) - 1)]
    moved = [at.after_transfer(attempt) for attempt in range(transfers)]
    texts = [str(step) for step in (*ladder, *moved, LOST.after("voicemail"))]
    assert len(set(texts)) == len(texts)
