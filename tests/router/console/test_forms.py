"""Reading forms as browsers send them."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from router.console import words
from router.console.api import ApiProblem, FieldProblem
from router.console.forms import Form, UnreadableFormError, form_errors, read_form

pytestmark = pytest.mark.anyio

TEXTS = [
    "a=b&c;d+e f",
    "100 % = 3D, =3D, =\r\n=",
    "lines\r\nwith spaces at the end \r\n\t\r\n",
    "你好, señora\N{SLIGHTLY SMILING FACE}",
    "NUL \0 and _ and ~.",
    "",
]


async def read(body: bytes) -> Form:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    media = (b"content-type", b"application/x-www-form-urlencoded")
    return await read_form(Request({"type": "http", "headers": [media]}, receive), 1 << 20)


@pytest.mark.parametrize("text", TEXTS)
async def test_a_text_arrives_as_it_was_entered(text):
    form = await read(urlencode([("name", text), (text, "value"), ("last", "x")]).encode())
    assert (form["name"], form[text], form["last"]) == (text, "value", "x")


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))), max_size=5))
async def test_every_form_is_read_as_it_was_written(pairs):
    form = await read(urlencode(pairs).encode())
    assert [(name, value) for name in form for value in form.get_all(name)] == sorted(
        pairs, key=lambda pair: [name for name, _ in pairs].index(pair[0])
    )


async def test_bytes_that_are_no_text_do_not_stop_a_form():
    form = await read(b"a=%ff%fe&b=%zz%&c&&=d")
    assert set(form) == {"a", "b", "c", ""}


async def test_a_form_of_too_many_fields_is_not_read():
    with pytest.raises(UnreadableFormError):
        await read(b"a=1&" * 2000)


def test_an_error_in_the_list_names_its_field_and_is_not_the_one_beside_it():
    problem = ApiProblem(422, "invalid", "", (FieldProblem("personal_phone", "must be a number"),))
    errors = form_errors(problem)
    assert errors.named == {"personal_phone": "Owner's phone: must be a number."}
    assert errors.at("personal_phone") == "Must be a number."


def test_an_error_without_a_field_of_its_own_is_named_in_words():
    problem = ApiProblem(422, "invalid", "", (FieldProblem("routing.on_failure", "must be one of two"),))
    assert form_errors(problem, lambda _: None).general == ("If no AI can answer: must be one of two",)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("vapi-key", "Key"),
        ("hours_mon", "Opening hours, Monday"),
        ("knowledge_title_0", "Knowledge, title 1"),
        ("voice_vapi", "Voice"),
        ("something_else", "Something else"),
    ],
)
def test_a_field_has_a_name_in_words(field: str, name: str):
    assert words.name_field(field) == name
