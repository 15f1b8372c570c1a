"""A secret: only `reveal` shows its value."""

from __future__ import annotations

import copy
import inspect
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from crypto import Secret

CANARY = "canary-5f0c9d27ae"


@dataclass(frozen=True, slots=True)
class Account:
    sid: str
    token: Secret


@dataclass
class Loose:
    token: Secret


def shown_by_logging(secret: Secret) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.handle(logging.LogRecord("test", logging.ERROR, __file__, 1, "%s %r", (secret, [secret]), None))
    return stream.getvalue()


def shown_by_a_traceback(secret: Secret) -> str:
    def fail(key: Secret) -> None:
        account = Account("AC1", key)
        raise ValueError(f"{key} of {account}", key, account)

    try:
        fail(secret)
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return ""


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        "{}".format,
        "{!r:>40}".format,
        lambda secret: f"{secret:>40}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - one of the ways in which it could leak
        pprint.pformat,
        lambda secret: repr([secret, {"key": secret}]),
        lambda secret: repr(Account("AC1", secret)),
        lambda secret: repr(vars(Loose(secret))),
        lambda secret: repr(inspect.getmembers(secret)),
        lambda secret: json.dumps({"key": secret}, default=str),
        lambda secret: " ".join(dir(secret)),
        shown_by_logging,
        shown_by_a_traceback,
    ],
)
def test_it_is_not_shown(show: Callable[[Secret], str]):
    shown = show(Secret(CANARY))
    assert shown
    assert CANARY not in shown


@pytest.mark.parametrize(
    "take",
    [
        *(lambda secret, protocol=protocol: pickle.dumps(secret, protocol) for protocol in range(6)),
        copy.copy,
        copy.deepcopy,
        vars,
        hash,
        lambda secret: {secret: 1},
        lambda secret: {secret},
        json.dumps,
        lambda secret: "Bearer " + secret,
        bytes,
        list,
        len,
        lambda secret: asdict(Account("AC1", secret)),
        lambda secret: secret.__getstate__(),
        lambda secret: secret.__reduce__(),
    ],
)
def test_it_cannot_be_copied_out(take: Callable[[Any], Any]):
    with pytest.raises(TypeError) as caught:
        take(Secret(CANARY))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_it_does_not_change():
    secret = Secret(CANARY)
    for change in (lambda: setattr(secret, "_value", "x"), lambda: setattr(secret, "more", "x")):
        with pytest.raises(AttributeError) as caught:
            change()
        assert CANARY not in str(caught.value)
    assert secret.reveal() == CANARY


def test_two_secrets_are_equal_if_their_values_are():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("\ud800") != Secret("a")
    assert (bool(Secret("a")), bool(Secret(""))) == (True, False)


@pytest.mark.parametrize(("value", "shown"), [("0123456789abcdef", "cdef"), ("0123456789a", "a"), ("k", "k"), ("", "")])
def test_the_end_of_a_long_one_may_be_shown_to_its_owner(value: str, shown: str):
    assert Secret(value).last4() == shown
