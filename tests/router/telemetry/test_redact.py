"""What is taken out of foreign text before it is shown."""

from __future__ import annotations

import base64

import pytest

from router.telemetry.redact import describe_exception, mask_number, redact

CANARY = "canary-4f9a1c77e2b04d6d8b1e"


@pytest.mark.parametrize(
    "text",
    [
        f"key {CANARY} refused",
        f"Authorization: Bearer {CANARY}",
        f"{{'Authorization': 'Bearer {CANARY}', 'x': 1}}",
        f"headers=[(b'authorization', b'{CANARY}')]",
        f"x-api-key={CANARY}",
        f"GET https://user:{CANARY}@api.example.com/ failed",
        f"GET https://api.example.com/?token={CANARY}&x=1",
        base64.b64encode(CANARY.encode()).decode(),
        CANARY.encode().hex(),
        "the key is 0b8e7c1a-6f0e-4f52-9a51-0a2e1d9f6c3b",
        "retrying with abcdefghijklmnopqrstuvwxyzabcdefgh",
        f"first line\n{CANARY}",
    ],
)
def test_anything_that_could_be_a_key_is_removed(text: str) -> None:
    shown = redact(text)
    for form in (CANARY, base64.b64encode(CANARY.encode()).decode(), CANARY.encode().hex(), "0b8e7c1a", "abcdefghij"):
        assert form not in shown


@pytest.mark.parametrize("name", ["password", "auth_token", "X-Twilio-Signature", "api_key", "client_secret", "Cookie"])
def test_a_value_with_a_secret_s_name_is_removed_however_short(name: str) -> None:
    assert "hunter2" not in redact(f"{name}: hunter2 was wrong")
    assert "hunter2" not in redact(f'"{name}"="hunter2"')


def test_what_a_person_needs_is_still_readable() -> None:
    line = "Uvicorn running on http://127.0.0.1:8080 (Press CTRL+C to quit)"
    assert redact(line) == line
    assert redact("Running upgrade  -> 0001, first") == "Running upgrade  -> 0001, first"


def test_phone_numbers_in_foreign_text_are_masked() -> None:
    assert redact("From=%2B15550100199") == "From=+*******0199"
    assert redact("call from +15550100199 ended") == "call from +*******0199 ended"
    assert redact("call from +15550100199 ended", full_numbers=True) == "call from +15550100199 ended"


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+15550100199", "+*******0199"),
        ("+4930123456", "+******3456"),
        ("anonymous", "other"),
        ("sip:+15550100199@example.com", "other"),
        ("", "other"),
        ("5550100199", "other"),
    ],
)
def test_only_the_last_four_digits_of_a_number_are_shown(number: str, masked: str) -> None:
    assert mask_number(number) == masked


def fail_deep_down(secret: str) -> None:
    try:
        {}[secret]
    except KeyError as error:
        raise RuntimeError(f"with {secret}") from error


def test_an_exception_shows_frames_but_neither_text_nor_variables() -> None:
    with pytest.raises(RuntimeError) as caught:
        fail_deep_down(CANARY)
    described = describe_exception(caught.value)
    assert described["type"] == "RuntimeError"
    assert described["frames"][-1].endswith("fail_deep_down")
    assert described["frames"][-1].startswith("router/telemetry/test_redact.py:")
    assert [cause.split(" at ")[0] for cause in described["causes"]] == ["KeyError"]
    assert CANARY not in str(described)


def test_the_members_of_a_group_are_named() -> None:
    group = ExceptionGroup("tasks", [ValueError("a"), ExceptionGroup("inner", [OSError("b")])])
    assert describe_exception(group)["causes"] == ["ValueError", "ExceptionGroup", "OSError"]


def test_exceptions_that_cause_each_other_come_to_an_end() -> None:
    first, second = ValueError(), TypeError()
    first.__cause__, second.__cause__ = second, first
    assert describe_exception(first)["causes"] == ["TypeError"]
