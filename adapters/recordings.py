"""Recordings of calls: fetched where a provider says that they are, and only from hosts that its package names; deleted
with the call.

A key goes to the API that it is for and to no other place, so a host that stores recordings never gets one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from adapters.base import ErrorKind, GoneError, ProviderError, bad_request
from adapters.carrier import RecordingPart
from adapters.client import Client
from adapters.facets import RecordingsFacet, ServedByApi, StoredAt
from adapters.replies import Reply, is_id, malformed
from adapters.requests import Auth

_WHOLE: Final = 200
_PART: Final = 206
OUT_OF_RANGE: Final = 416
_GONE: Final = frozenset({401, 403, 404, 410})  # of stores: also for an address that no longer opens
_RANGE: Final = re.compile(r"bytes=[0-9, -]+")
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,15}-[0-9]{1,15}|\*)/([0-9]{1,15}|\*)")
_AUDIO: Final = re.compile(r"audio/[a-z0-9.+-]{1,60}")
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,4000}")
_TYPES: Final = {".mp3": "audio/mpeg", ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg"}
_UNTYPED: Final = ("", "application/octet-stream", "binary/octet-stream")  # what stores say of files without a type


class ElsewhereError(ProviderError):
    """A MALFORMED_REPLY: the recording is at an address that is none of the provider's own."""

    def __init__(self) -> None:
        super().__init__(ErrorKind.MALFORMED_REPLY)


async def stream_recording(
    client: Client, facet: RecordingsFacet[Any], provider_call_id: str, byte_range: str | None
) -> AsyncIterator[RecordingPart]:
    """The head, then the pieces, as `adapters.carrier.CarrierRecordings.stream_recording` gives them.

    Raises ProviderError; GoneError if there is no recording, ElsewhereError if it is not to be fetched. Close the iterator
    if not read to its end.
    """
    if not is_id(provider_call_id):
        raise GoneError("This is not the id of a call.")
    places = await facet.find(client, provider_call_id)
    if not places:
        raise GoneError("There is no recording of this call.")
    base = client.settings["url"].rstrip("/")
    place = choose_place(places, facet.hosts, base)
    headers = ask_range(byte_range)
    auth = None
    if isinstance(place, ServedByApi):
        url, auth = base + place.path, Auth(client.key, client.scheme, header=client.key_header)
        headers["accept"] = place.accept
    else:
        url = place.url.reveal()
    async with client.http.stream(
        client.system, "GET", url, auth=auth, headers=headers, limit=client.limit
    ) as download:
        reply = Reply(download.status, download.headers, b"")
        if auth is not None and not reply.ok and reply.status not in (OUT_OF_RANGE, *client.gone):
            raise client.refusal(reply)
        head = read_head(reply, urlsplit(url).path)
        yield head
        if reply.ok:
            async for piece in download.pieces:
                yield RecordingPart(piece, head.status)


async def delete_call(client: Client, facet: RecordingsFacet[Any], provider_call_id: str) -> None:
    """As `RecordingsFacet.delete_call`. Reports bring the id, and could bring one that leads to something else."""
    if not is_id(provider_call_id):
        raise bad_request("This is not the id of a call.")
    await facet.delete_call(client, provider_call_id)


def ask_range(byte_range: str | None) -> dict[str, str]:
    """The header for a part; none for what is not a range."""
    return {"range": byte_range} if byte_range and _RANGE.fullmatch(byte_range) else {}


def choose_place(places: Sequence[StoredAt | ServedByApi], hosts: Sequence[str], base: str) -> StoredAt | ServedByApi:
    """The first that is at the provider's API or one of its own hosts. Raises ElsewhereError."""
    for place in places:
        if isinstance(place, ServedByApi) or _is_own(place.url.reveal(), hosts, base):
            return place
    raise ElsewhereError


def _is_own(url: str, hosts: Sequence[str], base: str) -> bool:
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        return False
    if url.startswith(f"{base}/"):
        return True
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme != "https" or "@" in parts.netloc or port not in (None, 443):
        return False
    return any(host.endswith(one) if one.startswith(".") else host == one for one in hosts)


def read_head(reply: Reply, path: str) -> RecordingPart:
    """Raises ProviderError for anything but audio, because the body goes to a person's browser."""
    content_range = _fit(_CONTENT_RANGE, reply.headers.get("content-range", ""))
    if reply.status == OUT_OF_RANGE:
        return RecordingPart(status=reply.status, content_range=content_range)
    if reply.status in _GONE:
        raise GoneError("The recording is gone.")
    if not reply.ok:
        raise ProviderError(ErrorKind.PROVIDER_ERROR, status=reply.status)
    if reply.status not in (_WHOLE, _PART):
        raise malformed(reply)
    content_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type in _UNTYPED:
        content_type = _TYPES.get(path[path.rfind(".") :].lower() if "." in path else "", "")
    if _fit(_AUDIO, content_type) is None:
        raise malformed(reply)
    length = reply.headers.get("content-length", "")
    return RecordingPart(
        status=reply.status,
        content_type=content_type,
        content_length=int(length) if length.isdecimal() else None,
        content_range=content_range,
    )


def _fit(pattern: re.Pattern[str], header: str) -> str | None:
    """A header that can be passed on; None for any other."""
    return header if pattern.fullmatch(header) else None
