"""A key to look for, and the places to look in."""

from __future__ import annotations

import base64
import traceback
from urllib.parse import quote

from adapters.base import ProviderError

CANARY = "canary/+7f3e91d2c4b8a6501f2e~3d4c5b="


def forms_of(key: str) -> list[str]:
    """How a key may show: whole in several encodings, and the middle of it in base64 at any place in a text."""
    encoded = [base64.b64encode(b"x" * offset + key.encode())[6:-6].decode() for offset in range(3)]
    return [key, key[:20], quote(key, safe=""), key.encode().hex(), *encoded]


def shows(text: str, key: str = CANARY) -> bool:
    folded = text.lower()
    return any(form.lower() in folded for form in forms_of(key))


def assert_clean(error: ProviderError, key: str = CANARY, *, frames: bool = True) -> None:
    """Nothing of the key is in what an error carries; with `frames`, not even with their locals written out."""
    assert error.__cause__ is None
    assert error.__context__ is None
    rendered = "".join(traceback.TracebackException.from_exception(error, capture_locals=frames).format())
    for text in (str(error), repr(error), repr(error.args), error.said, rendered):
        assert not shows(text, key)
