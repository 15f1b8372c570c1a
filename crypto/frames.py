"""Clears the frames behind an exception: an opened key may be among their variables.

An exception refers to its traceback, the traceback to frames, and these often back to the exception. Without this, the
key stays in memory until the garbage collector runs.
"""

from __future__ import annotations

import traceback


def clear_frames(error: BaseException) -> None:
    """Clear the variables of all frames that it went through, and those of its causes. The traceback's lines stay."""
    seen: set[int] = set()
    open_ends: list[BaseException | None] = [error]
    while open_ends:
        link = open_ends.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        open_ends += (link.__cause__, link.__context__)
