"""The cells of the matrix, and the few of them that the suite runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, product
from typing import Any, Final

from adapters.registry import PROVIDERS

# What the sandbox does for a fault; None: it is a matter of the address (tests/matrix/test_matrix.py).
FAULTS: Final[dict[str, Any]] = {
    "DNS fails": None,
    "refused": None,
    "SYN lost": None,
    "TLS fails": None,
    "slow headers": "hang",
    "slow body": "slow-body",
    "reset mid-body": "reset",
    "401": "401",
    "402": "402",
    "403": "403",
    "404": "404",
    "408": "408",
    "409": "409",
    "429": "429",
    "429 with Retry-After": {"fault": "429", "retry_after": 3},
    "500": "500",
    "502": "502",
    "503": "503",
    "HTML with 200": "html",
    "empty TwiML": "no-twiml",
    "huge body": "huge",
    "gzip bomb": "gzip-bomb",
}
_NAMES: Final = tuple(one.name for one in PROVIDERS)
LADDER: Final = (_NAMES[0], "bland", *(name for name in _NAMES[1:] if name != "bland"))
"""The client's providers; Bland is the second, so that each of its modes is used."""

POSITIONS: Final = ("first", "second", "all")
CIRCUITS: Final = ("closed", "open", "half-open")
DATABASES: Final = ("up", "slow", "away")
BLAND_MODES: Final = ("redirect", "sip", "number")  # how Bland takes a call
_WITHOUT_TWIML: Final = ("redirect", "number")  # there Bland's reply has nothing that the document needs


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One call under one combination."""

    fault: str
    position: str
    circuit: str
    database: str
    bland: str

    @property
    def can_happen(self) -> bool:
        return self.fault != "empty TwiML" or self.position != "all" or self.bland not in _WITHOUT_TWIML


def all_cells() -> list[Cell]:
    cells = (Cell(*values) for values in product(FAULTS, POSITIONS, CIRCUITS, DATABASES, BLAND_MODES))
    return [cell for cell in cells if cell.can_happen]


def few_cells() -> list[Cell]:
    """Each fault once, and each pair of position, circuit and database, and of position and Bland's mode, at least once."""
    rows = [
        (position, circuit, DATABASES[(i + j) % 3])
        for i, position in enumerate(POSITIONS)
        for j, circuit in enumerate(CIRCUITS)
    ]
    return sorted(
        Cell(fault, *row, BLAND_MODES[(place + place // 3) % 3])
        for place, (fault, row) in enumerate(zip(FAULTS, cycle(rows), strict=False))
    )
