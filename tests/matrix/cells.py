"""The cells of the matrix, and the few of them that the suite runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, product
from typing import Any, Final

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
POSITIONS: Final = ("first", "second", "all")
CIRCUITS: Final = ("closed", "open", "half-open")
DATABASES: Final = ("up", "slow", "away")


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One call under one combination."""

    fault: str
    position: str
    circuit: str
    database: str


def all_cells() -> list[Cell]:
    return [Cell(*values) for values in product(FAULTS, POSITIONS, CIRCUITS, DATABASES)]


def few_cells() -> list[Cell]:
    """Each fault once, and each pair of position, circuit and database at least once."""
    rows = [
        (position, circuit, DATABASES[(i + j) % 3])
        for i, position in enumerate(POSITIONS)
        for j, circuit in enumerate(CIRCUITS)
    ]
    return sorted(Cell(fault, *row) for fault, row in zip(FAULTS, cycle(rows), strict=False))
