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


_USER_AGENT: Final = f"callrouter/{_installed_version()}"


@dataclass(frozen=True, slots=True)
class Auth:
    """How a key goes into the authorization header."""

    secret: Secret
    scheme: Literal["bearer", "bare", "basic"]
    user: str = ""  # of "basic"


def fits_header(auth: Auth) -> bool:
    """Checked before the HTTP client sees the key: its errors would quote it."""
    key = auth.secret.reveal()
    return bool(key) and key.isascii() and key.isprintable() and key == key.strip()


def _authorization(auth: Auth) -> bytes:
    key = auth.secret.reveal()
    match auth.scheme:
        case "bearer":
            return f"Bearer {key}".encode()
        case "bare":
            return key.encode()
        case "basic":
            return b"Basic " + base64.b64encode(f"{auth.user}:{key}".encode())


def build_request(
    method: str,
    url: str,
    auth: Auth | None,
    json: object = None,
    form: Form | Sequence[Part] | None = None,
    headers: Mapping[str, str | Secret] | None = None,
) -> httpx.Request:
    """A form of Parts goes out as multipart/form-data, any other as application/x-www-form-urlencoded. Secrets
    among the values of `json` and `headers` are revealed here, and nowhere before.
    """
    sent: list[tuple[bytes, bytes]] = [
        *([(b"authorization", _authorization(auth))] if auth is not None else []),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"identity"),
        (b"user-agent", _USER_AGENT.encode()),
    ]
    content: bytes | None = None
    if json is not None:
        content = jsonlib.dumps(json, separators=(",", ":"), default=_reveal).encode()
        sent.append((b"content-type", b"application/json"))
    elif parts := [part for part in form or () if isinstance(part, Part)]:
        content, content_type = _multipart(parts)
        sent.append((b"content-type", content_type))
    elif form is not None:
        content = urlencode(cast(Form, form)).encode()
        sent.append((b"content-type", b"application/x-www-form-urlencoded"))
    for name, value in (headers or {}).items():
        sent.append((name.encode(), (value.reveal() if isinstance(value, Secret) else value).encode()))
    return httpx.Request(method, url, headers=sent, content=content)


def _multipart(parts: Sequence[Part]) -> tuple[bytes, bytes]:
    """Body and content-type, written by httpx from the parts alone, without the request's headers."""
    encoded = httpx.Request(
        "POST",
        "http://multipart",
        files=[(part.name, (part.filename, part.content, part.content_type)) for part in parts],
    )
    return encoded.read(), encoded.headers["content-type"].encode()


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
