"""A recording on its way to a listener."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from adapters.carrier import RecordingPart


@dataclass(frozen=True, slots=True)
class Playback:
    """A recording as it is streamed to us. `head` is its first part, which describes the whole."""

    head: RecordingPart
    parts: AsyncIterator[RecordingPart]
