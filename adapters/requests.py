"""What a request looks like on the wire, and where the key stands in it. The only place that reveals a key to be sent."""

from __future__ import annotations

import base64
import json as jsonlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlencode

import httpx
from multidict import CIMultiDict

from crypto.secret import Secret

Form: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart form: a file, or a plain field where `filename` is None."""

    name: str
    content: str | bytes
    filename: str | None = None
    content_type: str | None = None


def _installed_version() -> str:
    try:
        return version("callrouter")
    except PackageNotFoundError:
        return "source"


_EVERY_REQUEST: Final = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "user-agent": f"callrouter/{_installed_version()}",
}


@dataclass(frozen=True, slots=True)
class Auth:
    """How a key goes into a header."""

    secret: Secret
    scheme: Literal["bearer", "bare", "basic"]
    user: str = ""  # of "basic"
    header: str = "authorization"


def fits_header(auth: Auth) -> bool:
    """Checked before the HTTP client sees the key: its errors would quote it."""
    key = auth.secret.reveal()
    return bool(key) and key.isascii() and key.isprintable() and key == key.strip()


def _written(auth: Auth) -> str:
    key = auth.secret.reveal()
    match auth.scheme:
        case "bearer":
            return f"Bearer {key}"
        case "bare":
            return key
        case "basic":
            return "Basic " + base64.b64encode(f"{auth.user}:{key}".encode()).decode()


def encode(
    auth: Auth | None,
    json: object = None,
    form: Form | Sequence[Part] | None = None,
    headers: Mapping[str, str | Secret] | None = None,
) -> tuple[CIMultiDict[str], bytes | None]:
    """Headers and body. A form of Parts goes out as multipart/form-data, any other as
    application/x-www-form-urlencoded. Secrets among the values of `json` and `headers` are revealed here, and nowhere
    before.
    """
    sent = CIMultiDict(_EVERY_REQUEST)
    if auth is not None:
        sent[auth.header] = _written(auth)
    body: bytes | None = None
    if json is not None:
        body = _write_json(json).encode()
        sent["content-type"] = "application/json"
    elif parts := [part for part in form or () if isinstance(part, Part)]:
        body, sent["content-type"] = _multipart(parts)
    elif form is not None:
        body = urlencode(cast(Form, form)).encode()
        sent["content-type"] = "application/x-www-form-urlencoded"
    for name, value in (headers or {}).items():
        sent[name] = value.reveal() if isinstance(value, Secret) else value
    return sent, body


def _multipart(parts: Sequence[Part]) -> tuple[bytes, str]:
    """Body and content-type, written by httpx from the parts alone, without the request's headers."""
    encoded = httpx.Request(
        "POST",
        "http://multipart",
        files=[(part.name, (part.filename, part.content, part.content_type)) for part in parts],
    )
    return encoded.read(), encoded.headers["content-type"]


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_write_json: Final = jsonlib.JSONEncoder(separators=(",", ":"), default=_reveal).encode
