from __future__ import annotations

from dataclasses import asdict

import pytest

from adapters.registry import PROVIDERS
from tests.matrix.cells import LADDER, all_cells
from tests.matrix.page import describe


def results() -> list[dict[str, str]]:
    takers = {"first": "AI (bland)", "second": "AI (vapi)", "all": "owner"}
    return [asdict(cell) | {"answered_by": takers[cell.position]} for cell in all_cells()]


def test_what_is_the_same_everywhere_is_said_once():
    page = describe(results())
    assert page.count("Bland's AI answers | Vapi's AI answers | The owner's phone rings") == 6
    assert f"it places {len(all_cells())} calls" in page


def test_every_provider_is_named_in_its_place():
    page = describe(results())
    labels = [next(one.label for one in PROVIDERS if one.name == name) for name in LADDER]
    assert f"providers are {', '.join(labels[:-1])} and {labels[-1]}, in this order" in page
    assert len(labels) == len(PROVIDERS)


def test_a_cell_that_differs_is_named():
    cells = results()
    odd = next(each for each in cells if (each["fault"], each["position"], each["database"]) == ("409", "all", "away"))
    odd["answered_by"] = "voicemail"
    assert (
        "The owner's phone rings (53 of 54); The caller leaves a message (1 of 54: 409 with circuit closed, database away"
        " and Bland by redirect)" in describe(cells)
    )


def test_a_fault_without_a_row_is_told():
    cells = results()
    cells[0] |= {"fault": "418"}
    with pytest.raises(ValueError, match="418"):
        describe(cells)
