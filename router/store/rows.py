"""Row types: dataclasses whose fields name the columns of a table once. Statements and readers follow them.

    @dataclass(frozen=True, slots=True)
    class StoredKey:
        agency_id: str
        balance: float | None = field(metadata=sql("t.balance::float8"))

    _KEY: Final = columns(StoredKey, "k")

    row = await connection.fetchrow(f\"\"\"SELECT {_KEY} FROM keys k WHERE k.agency_id = $1\"\"\", agency_id)
    return read(StoredKey, row) if row else None

A statement may hold constants of a module, such as `_KEY`, and no other text that is put in
(tests/router/store/test_sql_safety.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Row = TypeVar("_Row", bound="DataclassInstance")

_SQL: Final = "sql"
_TABLE: Final = re.compile(r"\bt\.")


def sql(expression: str) -> dict[str, str]:
    """Metadata of a field that is not simply the column of its name. `t.` stands for the table."""
    return {_SQL: expression}


def columns(row_type: type[DataclassInstance], table: str = "", *, without: Sequence[str] = ()) -> str:
    """What a SELECT or RETURNING gives for such a row, or an INSERT fills; `table` is the name that it goes by there.

    `without` names fields that are read from elsewhere.
    """
    dot = table and f"{table}."
    return ", ".join(
        f"{_TABLE.sub(dot, each.metadata[_SQL])} AS {each.name}" if _SQL in each.metadata else f"{dot}{each.name}"
        for each in fields(row_type)
        if each.name not in without
    )


def parameters(row_type: type[DataclassInstance]) -> str:
    """$1, $2 and so on: what an INSERT of `columns` fills them with, followed by `values` as the arguments."""
    return ", ".join(f"${place}" for place in range(1, len(fields(row_type)) + 1))


def values(row: DataclassInstance) -> tuple[Any, ...]:
    return tuple(getattr(row, each.name) for each in fields(row))


def read(row_type: type[_Row], record: asyncpg.Record, **more: Any) -> _Row:
    """The row in a record, which may hold other columns, too. `more` are fields that do not stand in it as such."""
    found = {name: record[name] for name in _names(row_type) if name not in more}
    for name in _tuples(row_type):
        if found.get(name) is not None:
            found[name] = tuple(found[name])
    return row_type(**found, **more)


@cache
def _names(row_type: type[DataclassInstance]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(row_type))


@cache
def _tuples(row_type: type[DataclassInstance]) -> tuple[str, ...]:
    """Fields for which the driver has a list. Types are text here, as everywhere under `annotations`."""
    return tuple(each.name for each in fields(row_type) if str(each.type).startswith("tuple["))
