"""Which webhooks count as Twilio's, beside what its own validator judges in tests/contract."""

from __future__ import annotations

import pytest

from adapters.twilio.signature import MAX_FIELDS, FormError, read_form, read_text, request_url, sign, verify
from crypto.secret import Secret

TOKEN = Secret("12345")
OLD, NEW = Secret("a" * 32), Secret("b" * 32)
URL = "https://calls.example.com/webhooks/twilio/voice"
FORM = read_form(b"CallSid=CA1&From=%2B15550001111&FromCity=")


def test_the_example_of_twilios_documentation_verifies():
    # Twilio docs: Usage / Webhooks / Webhooks Security, with the signature it prints.
    form = read_form(
        b"CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030&To=%2B18005551212"
    )

    assert verify([TOKEN], "https://mycompany.com/myapp.php?foo=1&bar=2", form, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=")


class TestReadingAForm:
    def test_blank_values_and_names_without_value_stay(self):
        assert read_form(b"FromCity=&Digits&a=b=c&&=x") == (
            (b"FromCity", b""),
            (b"Digits", b""),
            (b"a", b"b=c"),
            (b"", b"x"),
        )

    def test_a_plus_is_a_space_and_an_escaped_plus_a_plus(self):
        assert read_form(b"Body=+a+%2B%252B+") == ((b"Body", b" a +%2B "),)

    def test_repeated_names_keep_their_order_and_the_first_is_the_text(self):
        form = read_form(b"To=second&To=first&To=second")

        assert form == ((b"To", b"second"), (b"To", b"first"), (b"To", b"second"))
        assert read_text(form) == {"To": "second"}

    def test_a_broken_escape_stays_as_it_is(self):
        assert read_form(b"a=100%&b=%zz") == ((b"a", b"100%"), (b"b", b"%zz"))

    def test_a_name_in_latin_1_verifies_as_signed_and_reads_with_a_replacement(self):
        form = read_form(b"CallerName=Jos%E9")

        assert read_text(form) == {"CallerName": "Jos\ufffd"}
        assert verify([TOKEN], URL, form, sign(TOKEN, URL, ((b"CallerName", b"Jos\xe9"),)))
        assert not verify([TOKEN], URL, form, sign(TOKEN, URL, read_form(b"CallerName=Jos%EF%BF%BD")))

    def test_an_empty_body_is_an_empty_form(self):
        assert read_form(b"") == ()

    def test_raw_bytes_are_not_a_form(self):
        with pytest.raises(FormError, match="not percent-encoded") as caught:
            read_form(b"From=Jos\xe9-canary")
        assert "canary" not in str(caught.value)

    def test_a_form_of_absurdly_many_fields_is_refused(self):
        assert len(read_form(b"&".join([b"a=1"] * MAX_FIELDS))) == MAX_FIELDS
        with pytest.raises(FormError, match="more than 1000 fields"):
            read_form(b"&".join([b"a=1"] * (MAX_FIELDS + 1)))


class TestTheRequestedUrl:
    def test_path_and_query_stay_escaped_as_they_were_sent(self):
        url = request_url("https://calls.example.com", b"/webhooks//a%2Fb/", b"state=x%20y+z&&b")

        assert url == "https://calls.example.com/webhooks//a%2Fb/?state=x%20y+z&&b"

    def test_a_request_without_a_query_has_no_question_mark(self):
        assert request_url("https://calls.example.com", b"/voice", b"") == "https://calls.example.com/voice"

    @pytest.mark.parametrize(
        ("public_url", "url"),
        [
            ("https://Calls.Example.COM:8443/", "https://calls.example.com:8443/voice"),
            ("https://User:Pass@Calls.example.com", "https://User:Pass@calls.example.com/voice"),
            ("http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080/voice"),
            ("https://calls.example.com/Router/#ct=2000", "https://calls.example.com/Router/voice"),
        ],
    )
    def test_only_the_host_is_lower_case_and_a_fragment_is_dropped(self, public_url, url):
        assert request_url(public_url, b"/voice", b"") == url

    def test_raw_bytes_in_a_path_neither_crash_nor_match(self):
        url = request_url("https://calls.example.com", b"/voice\xff", b"\xe9")

        assert not verify([TOKEN], url, FORM, sign(TOKEN, URL, FORM))


class TestVerifying:
    @pytest.mark.parametrize(
        ("bare", "with_port"),
        [
            ("https://calls.example.com/voice", "https://calls.example.com:443/voice"),
            ("http://calls.example.com/voice", "http://calls.example.com:80/voice"),
            ("https://calls.example.com?a=1:2", "https://calls.example.com:443?a=1:2"),
            ("https://user:pass@calls.example.com/a:1", "https://user:pass@calls.example.com:443/a:1"),
            ("https://user@calls.example.com/b@c", "https://user@calls.example.com:443/b@c"),
            ("https://[2001:db8::1]/voice", "https://[2001:db8::1]:443/voice"),
            ("http://user:p@[2001:db8::1]/voice", "http://user:p@[2001:db8::1]:80/voice"),
        ],
    )
    def test_either_spelling_of_the_port_may_be_signed(self, bare, with_port):
        assert verify([TOKEN], bare, FORM, sign(TOKEN, with_port, FORM))
        assert verify([TOKEN], with_port, FORM, sign(TOKEN, bare, FORM))

    def test_the_other_schemes_port_is_not_the_standard_one(self):
        signature = sign(TOKEN, "https://calls.example.com:80/voice", FORM)

        assert not verify([TOKEN], "https://calls.example.com/voice", FORM, signature)

    def test_old_and_new_token_count_during_a_rotation(self):
        assert verify([NEW, OLD], URL, FORM, sign(OLD, URL, FORM))
        assert verify([NEW, OLD], URL, FORM, sign(NEW, URL, FORM))
        assert not verify([NEW], URL, FORM, sign(OLD, URL, FORM))

    def test_without_a_token_nothing_verifies(self):
        assert not verify([], URL, FORM, sign(TOKEN, URL, FORM))
        assert not verify([Secret("")], URL, FORM, sign(Secret(""), URL, FORM))

    @pytest.mark.parametrize(
        "changed",
        [
            b"CallSid=CA2&From=%2B15550001111&FromCity=",
            b"CallSid=CA1&From=%2B15550001111",
            b"CallSid=CA1&From=%2B15550001111&FromCity=&Extra=",
            b"CallSid=CA1&From=+15550001111&FromCity=",
            b"CallSid=CA1&From=%2B15550001111&FromCity=&FromCity=London",
        ],
    )
    def test_a_changed_form_is_refused(self, changed):
        assert not verify([TOKEN], URL, read_form(changed), sign(TOKEN, URL, FORM))

    def test_fields_in_another_order_are_the_same_form(self):
        assert verify([TOKEN], URL, FORM[::-1], sign(TOKEN, URL, FORM))

    @pytest.mark.parametrize(
        "given", ["", "=", "é" * 28, "\udcff", "A" * 28, "A" * 10_000, "0/KCTR6DLpKmkAf8muzZqo1nDgQ"]
    )
    def test_a_malformed_signature_is_simply_wrong(self, given):
        assert not verify([TOKEN], URL, FORM, given)

    @pytest.mark.parametrize("url", ["", "/voice", "wss://calls.example.com/voice"])
    def test_an_address_that_is_not_ours_has_one_spelling(self, url):
        assert verify([TOKEN], url, FORM, sign(TOKEN, url, FORM))
        assert not verify([TOKEN], url, FORM, sign(TOKEN, URL, FORM))
