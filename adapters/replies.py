"""Replies of outside systems, read safely and put in our words.

A status and a provider's words become an ErrorKind, by one table here and one per provider. JSON from outside is read so
that every value is safe to store and compare, and a key that is echoed back is removed.

Connections are in `adapters.http`; what the fields of a reply mean is in each adapter.
"""

from __future__ import annotations

import base64
import json
import math
import re
import string
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeGuard
from urllib.parse import quote, quote_plus

from adapters.base import ErrorKind, ProviderError
from crypto.secret import Secret

_STATUS_KINDS: Final = {
    401: ErrorKind.KEY_REJECTED,
    402: ErrorKind.OUT_OF_CREDIT,
    403: ErrorKind.KEY_REJECTED,  # the key's scope does not cover the request
    408: ErrorKind.TIMEOUT,  # the system, or a proxy in front of it, gave up waiting; our request is not at fault
    429: ErrorKind.RATE_LIMITED,
}
_SERVER_ERRORS: Final = range(500, 600)
_MAX_SAID: Final = 200
_MAX_RETRY_AFTER: Final = 3600.0
_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
_SIP_URI: Final = re.compile(r"sips?:[^\s\"<>@?]+@[^\s\"<>@?]+(\?[^\s\"<>?]*)?", re.ASCII)
_MAX_SIP_URI: Final = 255
_MAX_SIP_HEADERS: Final = 1024
_ANY_ZLIB_HEADER: Final = 47  # zlib.decompressobj: gzip or zlib, told apart by their header


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply, 2xx, 4xx or 5xx. Headers are an allow-list with lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)  # a system may echo the key back

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of HTTP statuses that mean success


@dataclass(frozen=True, slots=True)
class Rule:
    """A provider's words for a kind, where the status alone would be wrong or too vague."""

    kind: ErrorKind
    statuses: frozenset[int]
    words: re.Pattern[str]


CONCURRENCY: Final = Rule(ErrorKind.AT_CAPACITY, frozenset({400, 403, 429}), re.compile(r"concurren", re.IGNORECASE))
"""Providers refuse for lack of free lines under these statuses."""


def decode(raw: bytes, encoding: str, max_bytes: int) -> bytes | None:
    """Undo a content-encoding, inflating `max_bytes` at most. None for what cannot be decoded safely.

    We accept no encoding, but some servers compress anyway.
    """
    if encoding == "identity" or not raw:
        return raw
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        return None
    inflater = zlib.decompressobj(_ANY_ZLIB_HEADER)
    try:
        body = inflater.decompress(raw, max_bytes + 1)
    except zlib.error:
        return None
    whole = inflater.eof and not inflater.unused_data
    return body if whole and len(body) <= max_bytes else None


def kind_of(status: int, said: str, rules: Iterable[Rule]) -> ErrorKind:
    """By the first rule that matches, else by the status."""
    for rule in rules:
        if status in rule.statuses and rule.words.search(said):
            return rule.kind
    if status in _SERVER_ERRORS:
        return ErrorKind.PROVIDER_ERROR
    return _STATUS_KINDS.get(status, ErrorKind.BAD_REQUEST)


def refusal(reply: Reply, rules: Iterable[Rule], *secrets: Secret) -> ProviderError:
    """The error for a reply that is not 2xx."""
    said = _explanation(reply.body)
    return ProviderError(
        kind_of(reply.status, said, rules),
        status=reply.status,
        said=redact(said, *secrets),
        retry_after=_retry_after(reply.headers),
    )


def is_out_of_credit(reply: Reply, rules: Iterable[Rule]) -> bool:
    """Whether the system accepts the key, but the account has no credit."""
    return not reply.ok and kind_of(reply.status, _explanation(reply.body), rules) is ErrorKind.OUT_OF_CREDIT


def malformed(reply: Reply) -> ProviderError:
    """The error for a 2xx that lacks what the API promises."""
    return ProviderError(ErrorKind.MALFORMED_REPLY, status=reply.status)


def read_answer(reply: Reply, rules: Iterable[Rule], *secrets: Secret) -> Any:
    """The JSON of a 2xx reply. Raises ProviderError: the refusal, or malformed_reply for anything but JSON."""
    if not reply.ok:
        raise refusal(reply, rules, *secrets)
    answer = _json_or_none(reply.body)
    if answer is None:
        raise malformed(reply)
    return answer


def read_json(body: bytes) -> Any:
    """JSON in UTF-8, without NaN and Infinity. Raises ValueError, also if it is nested too deeply."""
    return _load(body)


def read_report(body: bytes) -> Any:
    """Like read_json, but an integer may have thousands of digits, so that the rest of the report is not lost."""
    try:
        return read_json(body)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _load(body, read_integer=float)


def _load(body: bytes, read_integer: Callable[[str], float] | None = None) -> Any:
    try:
        if read_integer is None:
            return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
        return json.loads(body, parse_constant=_refuse_constant, parse_int=read_integer)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def find(value: Any, *path: str) -> Any:
    """The value at a path of keys in nested objects; None if there is none."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def is_id(value: Any) -> TypeGuard[str]:
    """Whether it can stand in a path, and be stored."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def read_objects(reply: Reply, items: Any, ids: Iterable[str]) -> list[dict[str, Any]]:
    """The JSON objects in a list; in each, the fields `ids` are ids. Raises ProviderError(MALFORMED_REPLY)."""
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise malformed(reply)
    if not all(is_id(item.get(name)) for item in items for name in ids):
        raise malformed(reply)
    return items


def text(value: Any) -> str | None:
    """A string that any database and document can hold: without NUL and lone surrogates. None for anything else."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").encode("utf-8", "ignore").decode() or None


def number(value: Any) -> float | None:
    """A finite number, also one written as a string. None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def moment(value: Any) -> datetime | None:
    """A time by RFC 3339 with its offset. None for anything else."""
    try:
        read = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return read if read.tzinfo is not None else None


_SIP_SERVER: Final = re.compile(r"(?:\[[^\]]+\]|[^:;@]+)(?::[0-9]{1,5})?(?:;|\Z)")


def is_sip_address(uri: str) -> bool:
    """Whether a carrier can dial it: user@host, under 255 characters before the headers, those under 1,024
    (Twilio docs: TwiML Sip).
    """
    address, _, headers = uri.partition("?")
    dialable = uri.isascii() and uri.isprintable() and bool(_SIP_URI.fullmatch(uri))
    return dialable and len(address) < _MAX_SIP_URI and len(headers) < _MAX_SIP_HEADERS


def sip_server_mistake(server: str) -> str | None:
    """The mistake in the host, port and parameters of a SIP server; None if there is none."""
    good = _SIP_SERVER.match(server) and is_sip_address(f"sip:call@{server}")
    return None if good else "must be like sip.example.com:5061;transport=tls"


def redact(said: str, *secrets: Secret) -> str:
    """A system's words, safe to show to the key's owner: one line of at most 200 characters, without the keys.

    A key is found in plain, base64, hex and URL-encoded form, in any case, whole or any eight characters of it.
    """
    shown = "".join(
        " " if char.isspace() else char for char in said if char.isspace() or unicodedata.category(char)[0] != "C"
    )
    folded = shown.translate(_LOWER)
    hidden = [False] * len(shown)
    for secret in secrets:
        for piece in _pieces(secret):
            at = folded.find(piece)
            while at >= 0:
                hidden[at : at + len(piece)] = [True] * len(piece)
                at = folded.find(piece, at + 1)
    return _cover(shown, hidden)[:_MAX_SAID].strip()


_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_PIECE: Final = 8
_COVER: Final = "[key]"


def _pieces(secret: Secret) -> set[str]:
    """All runs of eight characters of every form in which a key may come back; the whole of a shorter form."""
    pieces: set[str] = set()
    for form in _forms(secret.reveal()):
        folded = form.translate(_LOWER)
        pieces.update(folded[at : at + _PIECE] for at in range(max(1, len(folded) - _PIECE + 1)))
    return pieces - {""}


def _forms(key: str) -> Iterable[str]:
    raw = key.encode("utf-8", "surrogatepass")
    yield from (
        key,
        base64.b64encode(raw).decode(),
        raw.hex(),
        quote(raw, safe=""),
        quote_plus(raw),
        "".join(f"%{byte:02x}" for byte in raw),
    )
    for offset in range(3):  # within a longer text, base64 depends on where in a group of three bytes the key starts
        encoded = base64.b64encode(b"\0" * offset + raw + b"\0" * (-(offset + len(raw)) % 3)).decode()
        start, end = (0, 2, 3)[offset], len(encoded) - (0, 2, 3)[-(offset + len(raw)) % 3]
        yield encoded[start:end]
        yield encoded[start:end].translate(str.maketrans("+/", "-_"))


def _cover(shown: str, hidden: Sequence[bool]) -> str:
    out: list[str] = []
    for at, char in enumerate(shown):
        if not hidden[at]:
            out.append(char)
        elif at == 0 or not hidden[at - 1]:
            out.append(_COVER)
    return "".join(out)


def _explanation(body: bytes) -> str:
    """The message in an error body, in any of our providers' shapes; empty if there is none. The name of an error
    beside its message is kept, too: rules may need it.
    """
    answer = _json_or_none(body[:1_000_000])
    detail = find(answer, "detail")
    spoken: list[str] = []
    for place in (answer, *list_of(find(answer, "errors")), detail, *list_of(detail)):
        for name in ("message", "error", "detail", "msg"):
            said = find(place, name)
            spoken.extend(part for part in (*list_of(said), said) if isinstance(part, str))
    spoken.extend(name for name in (find(detail, "status"), find(detail, "code")) if isinstance(name, str))
    return "; ".join(dict.fromkeys(spoken))[:4000]


def _json_or_none(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError:
        return None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)  # json.loads would make one for each reply


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number of seconds or an HTTP date (RFC 9110, 10.2.3); an hour at most."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(float(value), _MAX_RETRY_AFTER)
    try:
        wait = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # not a date, or one without a zone
        return None
    return min(max(wait, 0.0), _MAX_RETRY_AFTER)
