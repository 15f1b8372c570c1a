"""The cells of the matrix, and a choice of them in which every pair of values meets."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import combinations, product
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


def pairwise_cells(seed: int = 7) -> list[Cell]:
    """Few cells in which any two values of different kinds stand together at least once."""
    cells = all_cells()
    random.Random(seed).shuffle(cells)
    open_pairs = {pair for cell in cells for pair in _pairs(cell)}
    chosen = []
    while open_pairs:
        best = max(cells, key=lambda cell: len(open_pairs & _pairs(cell)))
        chosen.append(best)
        open_pairs -= _pairs(best)
    return sorted(chosen)


def _pairs(cell: Cell) -> set[tuple[Any, ...]]:
    values: Sequence[tuple[int, str]] = tuple(enumerate(astuple(cell)))
    return set(combinations(values, 2))
