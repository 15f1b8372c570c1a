"""Values that the API accepts, and those that it refuses when they are saved."""

from __future__ import annotations

from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from router.fields import Email
from router.mail import Mail
from router.mail.smtp import compose

EMAIL = TypeAdapter(Email)
ATEXT = "abcXYZ019!#$%&'*+-/=?^_`{|}~"


@pytest.mark.parametrize(
    ("given", "stored", "sent_to"),
    [
        ("owner@example.com", "owner@example.com", "owner@example.com"),
        ("Owner+Calls@Example.COM", "Owner+Calls@example.com", "Owner+Calls@example.com"),
        ("o'brien_2@mail.shop.example", "o'brien_2@mail.shop.example", "o'brien_2@mail.shop.example"),
        ("info@münchen.de", "info@münchen.de", "info@xn--mnchen-3ya.de"),
        ("info@MÜNCHEN.de", "info@münchen.de", "info@xn--mnchen-3ya.de"),
        ("info@mu\u0308nchen.de", "info@münchen.de", "info@xn--mnchen-3ya.de"),
        ("info@xn--mnchen-3ya.de", "info@münchen.de", "info@xn--mnchen-3ya.de"),
        ("info@straße.de", "info@straße.de", "info@xn--strae-oqa.de"),
        ("info@例え.jp", "info@例え.jp", "info@xn--r8jz45g.jp"),
        ("info@почта.рф", "info@почта.рф", "info@xn--80a1acny.xn--p1ai"),
        ("info@ｅｘａｍｐｌｅ.com", "info@example.com", "info@example.com"),
        ("owner@agency.test", "owner@agency.test", "owner@agency.test"),
        (f"{'a' * 64}@example.com", f"{'a' * 64}@example.com", f"{'a' * 64}@example.com"),
    ],
)
def test_an_address_is_stored_in_one_spelling_and_sent_to_in_ascii(given: str, stored: str, sent_to: str) -> None:
    assert EMAIL.validate_python(given) == stored
    message = compose(Mail("letter", stored, "Hello", ""), "calls@example.com")
    assert [address.addr_spec for address in message["To"].addresses] == [sent_to]
    assert message.as_bytes().isascii()


@pytest.mark.parametrize(
    "given",
    [
        "",
        "owner",
        "owner@",
        "@example.com",
        "a,b@example.com",
        "a@example.com,b@example.com",
        "a@example.com, b@example.com",
        "a@example.com;b@example.com",
        "a;b@example.com",
        '"owner@example.com',
        'ow"ner@example.com',
        '"the owner"@example.com',
        "the owner@example.com",
        " owner@example.com",
        "owner@example.com\n",
        "owner@example.com\u200b",
        "owner@exa mple.com",
        "Owner <owner@example.com>",
        "<owner@example.com>",
        "mailto:owner@example.com",
        "owner(home)@example.com",
        "owner\\@example.com",
        "owner[1]@example.com",
        "a@b@example.com",
        ".owner@example.com",
        "owner.@example.com",
        "ow..ner@example.com",
        "owner@example",
        "owner@localhost",
        "owner@example.com.",
        "owner@.example.com",
        "owner@example..com",
        "owner@-example.com",
        "owner@example-.com",
        "owner@exa_mple.com",
        "owner@192.0.2.1",
        "owner@[192.0.2.1]",
        "owner@example.123",
        "owner@☃.net",
        "owner@xn--a.com",
        "owner@mail.invalid",
        "müller@example.com",
        "owner\u0000@example.com",
        f"{'a' * 65}@example.com",
        f"owner@{'a' * 64}.com",
        f"owner@{'a.' * 130}com",
        f"owner@{'ü' * 60}.com",
    ],
)
def test_an_address_that_no_server_takes_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        EMAIL.validate_python(given)


@given(st.text(max_size=40), st.text(alphabet=ATEXT + '.,"; <>()@:\\[]é', max_size=12))
def test_what_is_taken_can_be_written_in_a_header(domain: str, local: str) -> None:
    for text in (f"{local}@{domain}", f"{local}@example.com", f"owner@{domain}.com"):
        try:
            stored = EMAIL.validate_python(text)
        except ValidationError:
            continue
        assert EMAIL.validate_python(stored) == stored
        message = compose(Mail("letter", stored, "Hello", ""), "calls@example.com")
        [address] = message["To"].addresses
        assert Address(addr_spec=address.addr_spec) == address
        assert message.as_bytes().isascii()
