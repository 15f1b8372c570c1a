"""Row types: dataclasses whose fields name the columns of a table once. Statements and readers follow them.

    @dataclass(frozen=True, slots=True)
    class StoredKey:
        agency_id: str
        balance: float | None = field(metadata=sql("t.balance::float8"))

    _KEYS: Final = f\"\"\"SELECT {columns(StoredKey)} FROM keys\"\"\"

    return await fetch_row(connection, StoredKey, f\"\"\"{_KEYS} WHERE agency_id = $1\"\"\", agency_id)

A statement may hold constants of a module, such as `_KEYS`, and no other text
(tests/router/store/test_sql_safety.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

import asyncpg

from router.store.pool import Connection

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Row = TypeVar("_Row", bound="DataclassInstance")

_SQL: Final = "sql"
_TABLE: Final = re.compile(r"\bt\.")


class HasStatement(Protocol):
    """A class with an SQL statement, and `more` that follow from what it returns, by name."""

    statement: ClassVar[str]
    more: ClassVar[Mapping[str, str]]


def sql(expression: str) -> dict[str, str]:
    """Metadata of a field that is not just the column of the same name. `t.` stands for the table."""
    return {_SQL: expression}


def columns(row_type: type[DataclassInstance], table: str = "", *, without: Sequence[str] = ()) -> str:
    """What a SELECT or RETURNING gives for such a row, or an INSERT fills; `table` is the table's name in the statement.

    `without` names fields that are not columns of the table.
    """
    dot = table and f"{table}."
    return ", ".join(
        f"{_TABLE.sub(dot, each.metadata[_SQL])} AS {each.name}" if _SQL in each.metadata else f"{dot}{each.name}"
        for each in fields(row_type)
        if each.name not in without
    )


def parameters(row_type: type[DataclassInstance], *, without: Sequence[str] = ()) -> str:
    """$1, $2 and so on: what an INSERT of the same `columns` fills them with. The arguments are the row's `values`."""
    return ", ".join(f"${place}" for place in range(1, len(fields(row_type)) - len(without) + 1))


def side_by_side(kinds: Mapping[str, type[HasStatement]]) -> str:
    """What stands behind WITH in a statement that does what each kind's does. All see the database as it was before."""
    parts = [part for name, kind in kinds.items() for part in ((name, kind.statement), *kind.more.items())]
    return ", ".join(f"{name} AS ({statement})" for name, statement in parts)


def values(row: DataclassInstance, *, without: Sequence[str] = ()) -> tuple[Any, ...]:
    return tuple(getattr(row, each.name) for each in fields(row) if each.name not in without)


def read(row_type: type[_Row], record: asyncpg.Record, **more: Any) -> _Row:
    """The row in a record, which may hold other columns, too. `more` are fields that the record does not have."""
    found = {name: record[name] for name in _names(row_type) if name not in more}
    for name in _tuples(row_type):
        if found.get(name) is not None:
            found[name] = tuple(found[name])
    return row_type(**found, **more)


async def fetch_row(connection: Connection, row_type: type[_Row], statement: str, *arguments: Any) -> _Row | None:
    """The first row that the statement returns."""
    record = await connection.fetchrow(statement, *arguments)
    return read(row_type, record) if record else None


async def fetch_rows(connection: Connection, row_type: type[_Row], statement: str, *arguments: Any) -> list[_Row]:
    return [read(row_type, record) for record in await connection.fetch(statement, *arguments)]


async def fetch_column(connection: Connection, statement: str, *arguments: Any) -> list[Any]:
    """The values of the first column."""
    return [record[0] for record in await connection.fetch(statement, *arguments)]


async def returns_row(connection: Connection, statement: str, *arguments: Any) -> bool:
    """Whether the statement returns a row: with RETURNING, whether it changed one."""
    return await connection.fetchval(statement, *arguments) is not None


@cache
def _names(row_type: type[DataclassInstance]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(row_type))


@cache
def _tuples(row_type: type[DataclassInstance]) -> tuple[str, ...]:
    """Fields for which the driver has a list. Types are text here, as everywhere under `annotations`."""
    return tuple(each.name for each in fields(row_type) if str(each.type).startswith("tuple["))
