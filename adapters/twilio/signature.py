"""Whether a webhook comes from Twilio: reading its form, and X-Twilio-Signature over URL and form.

On the path of every call, hence without a URL parser or a general form parser. Twilio docs: Usage / Webhooks /
Webhooks Security. Signatures cover the decoded *bytes*, so a value that is not UTF-8 still verifies as it was signed.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from crypto.secret import Secret

Form: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Names and values of a form, decoded, in the order they came, repeated names kept."""

MAX_FIELDS: Final = 1_000  # Twilio's largest webhooks have some fifty

_AUTHORITY = re.compile(r"(https?)://(?:[^/?#]*@)?(?:\[[^]/?#]*]|[^:/?#]*)(:\d*)?", re.IGNORECASE)
_STANDARD_PORTS: Final = {"https": ":443", "http": ":80"}


class FormError(ValueError):
    """A body that is not an application/x-www-form-urlencoded form. The text says why, without the body's content."""


def read_form(body: bytes) -> Form:
    """Read a urlencoded form. Blank values stay, '+' is a space, percent escapes become bytes. Raises FormError."""
    if not body:
        return ()
    if not body.isascii():
        raise FormError("the form holds bytes outside ASCII that are not percent-encoded")
    if body.count(b"&") >= MAX_FIELDS:
        raise FormError(f"the form has more than {MAX_FIELDS} fields")
    pairs = [field.partition(b"=") for field in body.replace(b"+", b" ").split(b"&") if field]
    return tuple((_decode(name), _decode(value)) for name, _, value in pairs)


def read_text(form: Form) -> dict[str, str]:
    """The form as text for the application; what is not UTF-8 becomes U+FFFD. Of a repeated name the first counts."""
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in reversed(form)}


def request_url(public_url: str, raw_path: bytes, query_string: bytes) -> str:
    """The URL that Twilio requested: our public address, then path and query as they were sent, still escaped.

    Nothing comes from the Host or X-Forwarded-* headers, which any client can set. A path in the public URL is a
    prefix that a proxy takes off. The host is lower case, as Twilio signs it (twilio-node, issue 924).
    """
    target = raw_path + b"?" + query_string if query_string else raw_path
    return _base(public_url) + target.decode("ascii", "replace")


def sign(token: Secret, url: str, form: Form) -> str:
    """The X-Twilio-Signature of a request to exactly this URL."""
    return _signature(token, url, _signed_fields(form)).decode("ascii")


def verify(tokens: Sequence[Secret], url: str, form: Form, given: str) -> bool:
    """Whether one of the tokens (several during a rotation) signed this request. False for any malformed signature.

    Twilio signs with or without the port, so both are tried. An empty token never verifies: anyone could sign with it.
    """
    signature = given.encode("utf-8", "replace")
    fields = _signed_fields(form)
    return any(
        hmac.compare_digest(_signature(token, candidate, fields), signature)
        for candidate in _with_and_without_port(url)
        for token in tokens
        if token
    )


def _decode(part: bytes) -> bytes:
    return unquote_to_bytes(part) if b"%" in part else part


def _signed_fields(form: Form) -> bytes:
    """Sorting unique pairs sorts the unique names and, within each, its unique values."""
    return b"".join([name + value for name, value in sorted(set(form))])


def _signature(token: Secret, url: str, fields: bytes) -> bytes:
    return base64.b64encode(hmac.digest(token.reveal().encode(), url.encode() + fields, "sha1"))


def _with_and_without_port(url: str) -> Iterator[str]:
    yield url
    authority = _AUTHORITY.match(url)
    if authority is None:
        return
    scheme, port = authority.groups()
    rest = url[authority.end() :]
    if port is None:
        yield authority.group() + _STANDARD_PORTS[scheme.lower()] + rest
    else:
        yield authority.group().removesuffix(port) + rest


@lru_cache(maxsize=8)
def _base(public_url: str) -> str:
    parts = urlsplit(public_url)
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user}{at}{host.lower()}{parts.path.rstrip('/')}"
