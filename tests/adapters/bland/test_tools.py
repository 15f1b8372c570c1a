"""Names of tools: what Bland's model reads, and what we know them by."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bland.tools import is_marked, mark_of, marked_name, wanted_tools
from adapters.portable import Function
from tests.adapters.bland.examples import ACME, FUNCTION, PLAIN, TOKEN, WIRING

RESERVED = re.compile(
    "input|speak|transfer|switch|wait|finish|press|button|say|pause|record|play|dial|hang", re.IGNORECASE
)
MARK = mark_of("client_1")


def name_of(function: Function) -> str:
    (tool,) = wanted_tools(replace(PLAIN, functions=(function,)), WIRING, MARK)
    return tool.name


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_no_name_holds_a_reserved_word_or_is_too_long(name: str):
    named = name_of(replace(FUNCTION, name=name))
    assert not RESERVED.search(named)
    assert len(named) <= 64
    assert is_marked(named, MARK)


def test_a_reserved_word_that_appears_as_another_is_parted():
    assert not RESERVED.search(name_of(replace(FUNCTION, name="finishang")))


def test_long_names_with_one_beginning_stay_apart():
    one, other = (name_of(replace(FUNCTION, name="book_a_visit_" * 4 + each)) for each in "ab")
    assert one != other


@pytest.mark.parametrize("marker", ["client_1", "client_12", "client_", ""])
def test_a_mark_is_one_clients(marker: str):
    name = marked_name("book", mark_of(marker), {})
    assert [is_marked(name, mark_of(each)) for each in ("client_1", "client_12", "client_", "")].count(True) == 1


@pytest.mark.parametrize("name", ["", "book", f"book_{MARK}", f"book{MARK}_0123456789ab", f"{MARK}_0123456789ab_x"])
def test_what_is_not_ours(name: str):
    assert not is_marked(name, MARK)


def test_the_same_definition_has_the_same_names_always():
    assert [tool.name for tool in wanted_tools(ACME, WIRING, MARK)] == [
        tool.name for tool in wanted_tools(ACME, WIRING, MARK)
    ]


def test_no_print_of_a_tool_shows_our_secret():
    assert TOKEN not in repr(wanted_tools(ACME, WIRING, MARK))
