"""Letting go of what the frames behind an exception hold: among their variables may be an opened key.

An exception refers to its traceback, that to frames, and those often back to the exception: without this, the key
stays in memory until the garbage collector comes by.
"""

from __future__ import annotations

import traceback


def clear_frames(error: BaseException) -> None:
    """Empty the variables of all frames that it went through, and those of its causes. Where it was raised stays known."""
    seen: set[int] = set()
    open_ends: list[BaseException | None] = [error]
    while open_ends:
        link = open_ends.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        open_ends += (link.__cause__, link.__context__)
