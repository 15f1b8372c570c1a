"""What no statement may do: hold a value, be put together from pieces, or ask for rows without columns."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROUTER = Path(__file__).parents[3] / "router"
SOURCES = sorted(path for path in ROUTER.rglob("*.py") if "migrations" not in path.parts)

# A row without columns: asyncpg keeps freed rows in a list whose links stand where the first column would be, and writes
# beyond the memory of a row that has none. The process dies of it a little later, somewhere else.
NO_COLUMNS = re.compile(r"(execute|fetch|fetchrow|fetchval)\(\s*f?\"+\s*SELECT\s+FROM\b")
SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|WHERE|FROM|ORDER BY|VALUES|SET|RETURNING)\b")
STATEMENT = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\b")
RUNS = dict.fromkeys(("execute", "executemany", "fetch", "fetchrow", "fetchval", "prepare", "cursor"), 0) | {
    "fetch_column": 1,  # router.store.rows: the statement stands behind the connection and the row type
    "fetch_row": 2,
    "fetch_rows": 2,
    "returns_row": 1,
}
FRAGMENTS = {"columns", "parameters", "side_by_side"}  # router.store.rows


def is_literal(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Tuple(elts=elements):
            return all(is_literal(each) for each in elements)
    return False


def is_fragment(node: ast.expr) -> bool:
    """What router.store.rows makes of a row type, which is named, and of literals."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[ast.Name(), *rest], keywords=keywords):
            return name in FRAGMENTS and all(is_literal(each) for each in [*rest, *(one.value for one in keywords)])
    return False


def is_constant(node: ast.expr, constants: set[str]) -> bool:
    """A literal, a module's constant by its name, a fragment, or such put together."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in constants
        case ast.Attribute(attr=name):  # a kind of record has its statement, a Place of rotation both of its own
            return name.isupper() or name in {"statement", "find", "update"}
        case ast.Call(func=ast.Name(id="text"), args=[argument]):  # SQLAlchemy's way to say that it is a statement
            return is_constant(argument, constants)
        case ast.JoinedStr(values=values):
            parts = [each.value if isinstance(each, ast.FormattedValue) else each for each in values]
            return all(is_fragment(each) or is_constant(each, constants) for each in parts)
    return is_fragment(node)


def constants_of(module: ast.Module) -> set[str]:
    """Names of texts that stand in the module as they are, in functions too, and of constants that it imports."""
    names: set[str] = set()
    for node in module.body:
        match node:
            case ast.ImportFrom(names=imported):
                names |= {each.name for each in imported if each.name.isupper()}
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if is_constant(value, names):
                names.add(name)
    assigned = [
        node for node in ast.walk(module) if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    composed = {ast.unparse(node.targets[0]) for node in assigned if not is_constant(node.value, names)}
    return names | {ast.unparse(node.targets[0]) for node in assigned} - composed


def has_sql(text: ast.expr) -> bool:
    """Of a text that something is put into."""
    values = text.values if isinstance(text, ast.JoinedStr) else []
    return SQL.search("".join(str(each.value) for each in values if isinstance(each, ast.Constant))) is not None


def composed(module: ast.Module) -> Iterator[ast.expr]:
    """Texts with SQL in them that something is put into, and statements that are run without being constants."""
    constants = constants_of(module)
    for node in ast.walk(module):
        match node:
            case ast.JoinedStr() if has_sql(node) and not is_constant(node, constants):
                yield node
            case ast.BinOp(left=left, right=right, op=ast.Add() | ast.Mod()):
                sides = [
                    side for side in (left, right) if isinstance(side, ast.Constant) and isinstance(side.value, str)
                ]
                if any(SQL.search(side.value) for side in sides):
                    yield node
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(words)), attr="format" | "join")):
                if SQL.search(words):
                    yield node
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=arguments) if name in RUNS:
                statement = arguments[RUNS[name]]
                handed_in = isinstance(statement, ast.Name) and statement.id == "statement"
                if not (handed_in or has_sql(statement) or is_constant(statement, constants)):
                    yield statement


def pieced(source: str) -> Iterator[int]:
    """Lines of statements that go on in another literal, where a space is soon forgotten."""
    before: tokenize.TokenInfo | None = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in {tokenize.NL, tokenize.COMMENT}:
            continue
        in_pieces = before is not None and before.type == token.type == tokenize.STRING
        if before is not None and in_pieces and STATEMENT.match(before.string.lstrip('f"')):
            yield before.start[0]
        before = token


def test_no_statement_asks_for_rows_without_columns():
    assert [path.name for path in SOURCES if NO_COLUMNS.search(path.read_text())] == []


def test_no_statement_is_put_together_from_values():
    """Migrations take no outside values; every other statement passes values as parameters."""
    found = [
        f"{path.relative_to(ROUTER)}:{node.lineno}"
        for path in SOURCES
        for node in composed(ast.parse(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        'f"SELECT * FROM calls WHERE id = {call_id}"',
        'f"SELECT * FROM calls WHERE id = {CALL_ID}"',
        'f"SELECT {columns(row_type, table)} FROM calls"',
        '"SELECT * FROM calls WHERE id = " + call_id',
        '"SELECT * FROM calls WHERE id = %s" % call_id',
        '"DELETE FROM calls WHERE id = {}".format(call_id)',
        '" WHERE ".join(parts)',
        "pool.fetch(query, call_id)",
        "pool.fetch(build(call_id))",
        "fetch_rows(pool, Call, query, call_id)",
        "returns_row(pool, build(call_id))",
        'fetch_column(pool, f"{CALLS} WHERE {condition}")',
    ],
)
def test_a_statement_put_together_from_values_would_be_noticed(code: str):
    assert len(list(composed(ast.parse(code)))) == 1


def test_every_statement_is_one_literal():
    found = [f"{path.relative_to(ROUTER)}:{line}" for path in SOURCES for line in pieced(path.read_text())]
    assert found == []


def test_a_statement_in_pieces_would_be_noticed():
    assert list(pieced('execute(\n    "UPDATE calls SET seconds = $2 "  # so long\n    "WHERE id = $1"\n)')) == [2]
