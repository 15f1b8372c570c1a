"""How the execution of a document goes on after a verb."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, TypeAlias

from adapters.sandbox.carrier.fetching import Fetch


class _Mark(Enum):
    NEXT = "next"
    END = "end"


NEXT: Final = _Mark.NEXT  # with the verb behind it
END: Final = _Mark.END  # not at all: the call is over

Outcome: TypeAlias = Fetch | Literal[_Mark.NEXT, _Mark.END]
