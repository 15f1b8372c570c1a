"""What a provider says is kept within bounds."""

from __future__ import annotations

import json

from adapters.elevenlabs import ELEVENLABS
from router.webhooks.reading import read_event, read_transfer

LONGEST_TRANSCRIPT = 500_000


def report(*turns: dict[str, object]) -> bytes:
    data = {"conversation_id": "conv_1", "status": "done", "transcript": turns}
    return json.dumps({"type": "post_call_transcription", "data": data}).encode()


def test_turns_are_together_no_longer_than_a_transcript():
    endless = {"role": "user", "message": "a" * 300_000, "time_in_call_secs": 1}
    assert ELEVENLABS.webhooks is not None
    turns = read_event(ELEVENLABS.webhooks, report(endless, endless, endless)).turns
    assert sum(len(turn.text) for turn in turns) == LONGEST_TRANSCRIPT


def test_a_turn_at_a_time_that_no_call_reaches_has_none():
    turn = {"role": "agent", "message": "Hello", "time_in_call_secs": 5}
    assert ELEVENLABS.webhooks is not None
    body = report(turn, turn | {"time_in_call_secs": -1}, turn | {"time_in_call_secs": 1e300})
    assert [turn.at for turn in read_event(ELEVENLABS.webhooks, body).turns] == [5, None, None]


def test_the_id_in_a_request_for_a_person_is_bounded():
    assert ELEVENLABS.webhooks is not None
    asked = read_transfer(ELEVENLABS.webhooks, json.dumps({"conversation_id": "c" * 5000}).encode())
    assert len(asked.provider_call_id or "") == 200
