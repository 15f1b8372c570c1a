"""Who calls, and which phone forwarded a call, in the many spellings of carriers."""

from __future__ import annotations

import phonenumbers
import pytest

from router.callers import can_exist, find_spellings, is_same_phone, name_caller, phone_ending, read_caller

WITHHELD = [
    "anonymous",
    "Anonymous",
    "RESTRICTED",
    "unavailable",
    "unknown",
    "blocked",
    "Private Number",
    "Number Withheld",
    "no caller id",
    "",
    " ",
    "+266696687",
    "+7378742833",
    "+2562533",
    "+8656696",
    "+86282452253",
    "266696687",
    "+7748283",  # PRIVATE
    "+1266696687",  # with the carrier's country code
    "+44266696687",
    "+448656696",
    "sip:anonymous@anonymous.invalid",
    '"Anonymous" <sip:Anonymous@203.0.113.5;user=phone>',
    "sip:+266696687@carrier.example",
    "anonymous@anonymous.invalid",
    "sip:%41nonymous@carrier.example",
    "\uff21\uff2e\uff2f\uff2e\uff39\uff2d\uff2f\uff35\uff33",  # full-width
    "Private/Unknown",
    "Not Provided",
    "Anonyme",
    "Numéro masqué",
    "Appel inconnu",
    "Unbekannt",
    "Rufnummer unterdrückt",
    "Número privado",
    "Não identificado",
    "Numero sconosciuto",
    "Onbekend nummer",
    "Okänt nummer",
    "Numer zastrzeżony",
    "Неизвестный номер",
    "\u975e\u901a\u77e5",
    "\u672a\u77e5\u53f7\u7801",
    "발신번호 표시제한",
]
NUMBERS = [
    "+14155550123",
    "+442079460123",
    "+5215512345678",  # Mexico and Argentina with the digit of their mobile phones
    "+5491123456789",
    "+390612345678",
    "+15550100",
    "+442071234",
    "+999999999999999",
    "+17378742833",  # numbers of Texas and New South Wales that end like a keypad word
    "+61266696687",
]
NEITHER = [
    "sip:alice@example.com",
    "sip:+14155550123@example.com",
    "client:alice",
    "client:anonymous",
    "14155550123",
    "+1415",
    "+0441632960001",
    "+1 415 555 0123",
    "+1\u0664\u0661\u0665\u0665\u0665\u0665\u0660\u0661\u0662\u0663",
    "+" + "1" * 40,
    "Robert'); DROP TABLE calls;--",
    "Anonymous Pizza",
    "sip:privatbank@example.com",
    "No. 7",
    "\N{GRINNING FACE}",
]


@pytest.mark.parametrize("text", [*WITHHELD, None])
def test_a_withheld_caller_is_called_so(text):
    assert (name_caller(text), read_caller(text)) == ("withheld", None)


@pytest.mark.parametrize("text", NUMBERS)
def test_a_caller_with_a_number_need_not_be_in_any_plan(text):
    assert (name_caller(text), read_caller(text)) == (text, text)


@pytest.mark.parametrize("text", NEITHER)
def test_what_is_neither_is_named_as_it_came(text):
    assert (name_caller(text), read_caller(text)) == (text, None)


def test_no_number_that_a_country_assigns_is_taken_for_a_withheld_one():
    for region in phonenumbers.SUPPORTED_REGIONS:
        number = phonenumbers.format_number(phonenumbers.example_number(region), phonenumbers.PhoneNumberFormat.E164)
        assert read_caller(number) == number
        assert can_exist(number)


@pytest.mark.parametrize("text", ["+15550100", "+442071234", "+999999999999999", "+4930", "+2562533", "+3312345"])
def test_a_number_that_is_too_short_for_its_country_cannot_exist(text):
    assert not can_exist(text)


@pytest.mark.parametrize(
    ("given", "phone"),
    [
        ("+442079460123", "+442079460123"),
        ("442079460123", "+442079460123"),
        ("00442079460123", "+442079460123"),
        ("02079460123", "+442079460123"),
        ("020 7946 0123", "+442079460123"),
        ("(415) 555-0123", "+14155550123"),
        ("14155550123", "+14155550123"),
        ("+1 (415) 555-0123", "+14155550123"),
        ("tel:+14155550123", "+14155550123"),
        ("sip:+14155550123@carrier.example;user=phone", "+14155550123"),
        ("sip:4155550123@10.0.0.1:5060", "+14155550123"),
        ("<sip:+14155550123@192.0.2.1>;reason=unconditional", "+14155550123"),
        ("8 (495) 123-45-67", "+74951234567"),
        ("06 84 951 234", "+3684951234"),
        ("912 34 567", "+4791234567"),
        ("011 44 20 7946 0123", "+442079460123"),
        ("14155550123@10.0.0.1", "+14155550123"),
        ("sip:%2B14155550123@carrier.example", "+14155550123"),
        ("sip:14155550123%3Bcpc=ordinary@carrier.example", "+14155550123"),
        ("+5215512345678", "+525512345678"),
        ("+525512345678", "+5215512345678"),
        ("+541123456789", "+5491123456789"),
        ("+5491123456789", "+541123456789"),
        ("+4402079460123", "+442079460123"),
        ("+39612345678", "+390612345678"),
    ],
)
def test_a_phone_is_known_in_every_spelling(given, phone):
    assert is_same_phone(given, phone)


@pytest.mark.parametrize(
    ("given", "phone"),
    [
        ("", "+14155550123"),
        ("0123", "+14155550123"),
        ("5550123", "+14155550123"),
        ("+14155550124", "+14155550123"),
        ("+4155550123", "+14155550123"),
        ("5155550123", "+14155550123"),
        ("anonymous", "+14155550123"),
        ("sip:pbx@example.com", "+14155550123"),
        ("sip:alice@4155550123.example", "+14155550123"),
        ("9999914155550123", "+14155550123"),
        ("+445215512345", "+525215512345"),
        ("7@14155550123", "+14155550123"),
    ],
)
def test_another_phone_is_not_taken_for_it(given, phone):
    assert not is_same_phone(given, phone)


def test_national_forms_are_those_of_the_called_number_s_country():
    assert phone_ending("91234567", "+4722222222") == "+4791234567"
    assert phone_ending("84951234567", "+14155550100") == "951234567"


def test_too_few_digits_say_nothing():
    assert phone_ending("555-0123", "+14155550100") is None


@pytest.mark.parametrize(
    ("typed", "near", "spellings"),
    [
        ("+1 (415) 555-0123", (), {"+14155550123"}),
        ("(415) 555-0123", ("+15005550001", "+442079460100"), {"+14155550123", "+4155550123"}),
        ("020 7946 0123", ("+442079460100",), {"+442079460123"}),
        ("0049 30 901820", (), {"+4930901820"}),
        ("+52 55 1234 5678", (), {"+525512345678", "+5215512345678"}),
        ("+54 9 11 2345 6789", (), {"+5491123456789", "+541123456789"}),
        ("Anonymous", (), {"withheld"}),
        ("sip:bob@example.com", (), {"sip:bob@example.com"}),
        ("bob", ("+442079460100",), set()),
        ("", (), set()),
        ("12", ("+442079460100",), set()),
    ],
)
def test_a_number_is_found_in_any_spelling(typed, near, spellings):
    assert set(find_spellings(typed, near)) == spellings
