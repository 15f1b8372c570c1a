"""Transcripts as turns: as the provider told them, or else read from its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from adapters.base import MOST_TURNS, Turn
from router.store.calls.reports import CallStory

_SAID: Final = re.compile(r"\s*(AI|Agent|Assistant|Bot|User|Caller|Customer|Human)\s*:\s*(.*)", re.IGNORECASE)
_CALLERS: Final = frozenset({"user", "caller", "customer", "human"})


def write_turns(turns: Sequence[Turn]) -> str | None:
    """As they are kept."""
    return json.dumps([(turn.speaker, turn.at, turn.text) for turn in turns]) if turns else None


def list_turns(story: CallStory) -> list[Turn]:
    """Empty if the text does not say who speaks."""
    if story.turns:
        return [Turn(speaker, text, at) for speaker, at, text in story.turns]
    return list(_read(story.transcript or ""))


def _read(transcript: str) -> Iterator[Turn]:
    """A line that names no speaker goes on with the one before it."""
    speaker: Literal["assistant", "caller"] | None = None
    said: list[str] = []
    for line in transcript.splitlines()[:MOST_TURNS]:
        match = _SAID.fullmatch(line)
        if match is None:
            if speaker is None and line.strip():
                return
            said.append(line.strip())
            continue
        if speaker is not None:
            yield Turn(speaker, "\n".join(said).strip())
        speaker, said = ("caller" if match[1].lower() in _CALLERS else "assistant"), [match[2]]
    if speaker is not None:
        yield Turn(speaker, "\n".join(said).strip())
