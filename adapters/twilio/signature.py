"""Whether a webhook comes from Twilio: reading its form, and X-Twilio-Signature over URL and form.

Twilio signs with the account's auth token or, where a webhook rule of the account says so, with a shared key and an
algorithm that another header names. Twilio docs: Usage / Webhooks / Webhooks Security, and Sign webhooks with shared keys.

On the path of every call, hence without a URL parser or a general form parser. Signatures cover the decoded *bytes*, so a value that is not UTF-8 still verifies as it was signed.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from crypto.secret import Secret

Form: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Names and values of a form, decoded, in the order they came, repeated names kept."""

MAX_FIELDS: Final = 1_000  # Twilio's largest webhooks have some fifty

_AUTHORITY = re.compile(r"(https?)://(?:[^/?#]*@)?(?:\[[^]/?#]*]|[^:/?#]*)(:\d*)?", re.IGNORECASE)
_STANDARD_PORTS: Final = {"https": ":443", "http": ":80"}


Algorithm: TypeAlias = Literal["sha1", "sha256"]

_ALGORITHMS: Final[dict[str, Algorithm]] = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a request is signed. `algorithm` None: by one that we don't know.

    `key_id`: the shared key's, empty if the request does not name it; None: the account's token signs.
    """

    algorithm: Algorithm | None
    key_id: str | None = None

    @property
    def is_shared(self) -> bool:
        return self.key_id is not None


_BY_TOKEN: Final = Scheme("sha1")


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


def read_scheme(settings: str | None) -> Scheme:
    """X-Twilio-Webhooks-Signature-Settings, such as `key=webhooks_sharedkey_…,algorithm=HMAC_SHA256`. Without it, the
    account's token signs.
    """
    if not settings:
        return _BY_TOKEN
    parts = (part.partition("=") for part in reversed(settings.split(",")))  # of a repeated name the first counts
    fields = {name.strip(): value.strip() for name, _, value in parts if value.strip()}
    named = fields.get("algorithm", "HMAC_SHA1")
    return Scheme(_ALGORITHMS.get(named.upper()), fields.get("key", ""))


def request_url(public_url: str, raw_path: bytes, query_string: bytes) -> str:
    """The URL that Twilio requested: our public address, then path and query as they were sent, still escaped.

    Nothing comes from the Host or X-Forwarded-* headers, which any client can set. A path in the public URL is a
    prefix that a proxy takes off. The host is lower case, as Twilio signs it (twilio-node, issue 924).
    """
    target = raw_path + b"?" + query_string if query_string else raw_path
    return _base(public_url) + target.decode("ascii", "replace")


def sign(secret: Secret, url: str, form: Form, algorithm: Algorithm = "sha1") -> str:
    """The X-Twilio-Signature of a request to exactly this URL."""
    return _signature(secret, url, _signed_fields(form), algorithm).decode("ascii")


def verify(secrets: Sequence[Secret], url: str, form: Form, given: str, algorithm: Algorithm | None = "sha1") -> bool:
    """Whether one of the tokens or shared keys (several during a rotation) signed this request. False for any malformed
    signature.

    Twilio signs with or without the port, so both are tried. An empty secret never verifies: anyone could sign with it.
    """
    if algorithm is None:
        return False
    signature = given.encode("utf-8", "replace")
    fields = _signed_fields(form)
    return any(
        hmac.compare_digest(_signature(secret, candidate, fields, algorithm), signature)
        for candidate in _with_and_without_port(url)
        for secret in secrets
        if secret
    )


def _decode(part: bytes) -> bytes:
    return unquote_to_bytes(part) if b"%" in part else part


def _signed_fields(form: Form) -> bytes:
    """Sorting unique pairs sorts the unique names and, within each, its unique values."""
    return b"".join([name + value for name, value in sorted(set(form))])


def _signature(secret: Secret, url: str, fields: bytes, algorithm: Algorithm) -> bytes:
    return base64.b64encode(hmac.digest(secret.reveal().encode(), url.encode() + fields, algorithm))


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
