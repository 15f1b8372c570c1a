from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from router.store.rows import columns, parameters, read, sql, values

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Owner:
    name: str


@dataclass(frozen=True, slots=True)
class Shop:
    id: str
    tags: tuple[str, ...] | None
    open_days: Sequence[str]
    balance: float = field(metadata=sql("t.balance::float8"))
    owner: Owner | None = None


def test_columns_are_the_fields_each_with_the_tables_name_and_its_expression():
    assert columns(Owner) == "name"
    assert columns(Shop, "s", without=("owner",)) == "s.id, s.tags, s.open_days, s.balance::float8 AS balance"


def test_parameters_and_values_fill_an_insert_of_the_columns():
    assert parameters(Shop) == "$1, $2, $3, $4, $5"
    assert values(Shop("1", ("a",), ["mon"], 1.5)) == ("1", ("a",), ["mon"], 1.5, None)


@pytest.mark.parametrize(("tags", "expected"), [("ARRAY['a', 'b']", ("a", "b")), ("NULL::text[]", None)])
async def test_a_row_is_read_from_a_record_that_holds_more_than_it(database, tags: str, expected: Any):
    row: asyncpg.Record = await database.settings.fetchrow(
        f"SELECT {columns(Shop, 's', without=('owner',))}, 'Ann' AS name "  # noqa: S608  (constants)
        f"FROM (SELECT '1' AS id, {tags} AS tags, ARRAY['mon'] AS open_days, 1.5::numeric AS balance, 1 AS more) AS s"
    )
    assert read(Shop, row, owner=read(Owner, row)) == Shop("1", expected, ["mon"], 1.5, Owner("Ann"))
