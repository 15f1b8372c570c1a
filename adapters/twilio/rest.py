"""Requests to Twilio's REST API of 2010-04-01: addresses, credentials, refusals, pages, and the types of its fields.

Every address is built from our setting and checked SIDs, never taken from a request or a reply: even of the address of
a list's next page, only the place in the list is used. Each resource has a module beside this one. Twilio docs: Usage /
Twilio's Request, Response (paging).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qs, urlencode, urlsplit

from adapters.base import ErrorKind, ProviderError, bad_request
from adapters.carrier import Account, CallOver, NumberGone, PapersRequired
from adapters.http import Http
from adapters.replies import Reply, find, number, read_answer, read_json, refusal, text
from adapters.requests import Auth

NAME: Final = "twilio"  # in addresses, bodies and the database, like the providers' names
_NOT_FOUND: Final = 404
MAX_NAME: Final = 64  # characters of a FriendlyName
_PAGE_SIZE: Final = 250  # Twilio allows 1,000, but a reply of that many calls is larger than we read
_MAX_PAGES: Final = 400
_AT_A_STRETCH: Final = 50  # records read before the event loop gets a turn
_GONE: Final = "the number is no longer available: choose another one"
_PAPERS: Final = (
    "this number is sold only with an address or a regulatory bundle on file: add it in Twilio's console, or choose a"
    " number that needs none"
)
_MEANINGS: Final[Mapping[int, tuple[type[ProviderError], str]]] = {
    21220: (CallOver, ""),
    21422: (NumberGone, _GONE),
    **dict.fromkeys((21613, 21615, 21631, 21649, 21651), (PapersRequired, _PAPERS)),
}
"""The error that a code of Twilio's stands for, and our advice where Twilio's words give none."""

_PLACE: Final = re.compile(r"[!-~]{1,256}")

Method: TypeAlias = Literal["GET", "POST", "DELETE"]
SidPrefix: TypeAlias = Literal["AC", "CA", "PN", "RE", "SK"]


class Rest:
    """Keeps neither accounts nor tokens. `account` is whose credentials are used, `path` is below the API's version."""

    def __init__(self, http: Http, base_url: str) -> None:
        self.http = http
        self._root = f"{base_url.rstrip('/')}/2010-04-01"

    async def ask(
        self,
        account: Account,
        method: Method,
        path: str,
        limit: float,
        form: Mapping[str, str] | None = None,
        gone: type[ProviderError] = ProviderError,
    ) -> Any:
        """The JSON of the reply. Raises ProviderError, as the kind that Twilio's code stands for; as `gone` for a 404."""
        return _read(await self.send(account, method, path, limit, form), account, gone)

    async def ask_for(self, account: Account, path: str, limit: float) -> Any | None:
        """As `ask`, with GET; None if there is no such thing."""
        reply = await self.send(account, "GET", path, limit)
        return None if reply.status == _NOT_FOUND else _read(reply, account)

    async def delete(self, account: Account, path: str, limit: float) -> None:
        """Also fine if it is gone already."""
        reply = await self.send(account, "DELETE", path, limit)
        if not reply.ok and reply.status != _NOT_FOUND:
            raise _refusal(reply, account)

    async def records(
        self, account: Account, path: str, query: Mapping[str, str], name: str, limit: float
    ) -> AsyncIterator[Any]:
        """The records of a list, requested page by page as they are read. `name` is the field that holds them."""
        place: dict[str, str] = {}
        for _ in range(_MAX_PAGES):
            asked = urlencode({**query, "PageSize": str(_PAGE_SIZE), **place})
            page = await self.ask(account, "GET", f"{path}?{asked}", limit)
            records = find(page, name)
            if not isinstance(records, list):
                raise malformed_record()
            for place_on_page, record in enumerate(records, 1):
                yield record
                if place_on_page % _AT_A_STRETCH == 0:
                    await asyncio.sleep(0)  # a page takes 10 ms to read: live calls must not wait for that
            following = _next_place(page)
            if following is None:
                return
            if following == place:
                break
            place = following
        raise malformed_record()  # the pages lead in circles or do not end

    async def send(
        self, account: Account, method: Method, path: str, limit: float, form: Mapping[str, str] | None = None
    ) -> Reply:
        check_sid("AC", account.sid)
        return await self.http.send(NAME, method, self.url(path), auth=basic(account), form=form, limit=limit)

    def url(self, path: str) -> str:
        return f"{self._root}{path}"


class Resource:
    """A part of the API."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest


def home(account: Account) -> str:
    """The path of the account. Raises bad_request for a malformed SID."""
    check_sid("AC", account.sid)
    return f"/Accounts/{account.sid}"


def basic(account: Account) -> Auth:
    return Auth(account.auth_token, "basic", account.sid)


def check_sid(prefix: SidPrefix, sid: str) -> None:
    """SIDs go into addresses, so only the documented form is accepted. Raises bad_request."""
    if not is_sid(prefix, sid):
        raise bad_request(f"a Twilio SID of this kind is {prefix} and 32 hexadecimal digits")


def is_sid(prefix: SidPrefix, value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(f"{prefix}[0-9a-fA-F]{{32}}", value) is not None


def read_sid(prefix: SidPrefix, record: Any) -> str:
    """The SID of a record. Raises malformed_reply."""
    sid = find(record, "sid")
    if not isinstance(sid, str) or not is_sid(prefix, sid):
        raise malformed_record()
    return sid


def read_time(value: Any) -> datetime | None:
    """A moment as Twilio writes it (RFC 2822); None for anything else."""
    written = text(value)
    if written is None:
        return None
    try:
        moment = parsedate_to_datetime(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def beginning_of_day(moment: datetime) -> str:
    """A filter by time as Twilio's own client writes it; whether more than the day counts is not documented."""
    return f"{moment.astimezone(UTC).date().isoformat()}T00:00:00Z"


def read_seconds(value: Any) -> int | None:
    seconds = number(value)
    return None if seconds is None or seconds < 0 else round(seconds)


def malformed_record() -> ProviderError:
    return ProviderError(ErrorKind.MALFORMED_REPLY, status=200)


def _read(reply: Reply, account: Account, gone: type[ProviderError] = ProviderError) -> Any:
    if not reply.ok:
        raise _refusal(reply, account, gone)
    return read_answer(reply, ())


def _refusal(reply: Reply, account: Account, gone: type[ProviderError] = ProviderError) -> ProviderError:
    """`said` names Twilio's own code, which its error dictionary explains."""
    error, code = refusal(reply, (), account.auth_token), None
    with suppress(ValueError):  # a proxy's error page is not JSON: its status says enough
        code = find(read_json(reply.body), "code")
    family, said = gone if reply.status == _NOT_FOUND else ProviderError, error.said
    if isinstance(code, int) and not isinstance(code, bool):
        family, advice = _MEANINGS.get(code, (family, ""))
        said = f"{advice or said} (Twilio error {code})".lstrip()
    return family(error.kind, status=error.status, said=said, retry_after=error.retry_after)


def _next_place(page: Any) -> dict[str, str] | None:
    """The place of the next page in the list; None at the end. Raises malformed_reply."""
    following = text(find(page, "next_page_uri"))
    if following is None:
        return None
    try:
        query = parse_qs(urlsplit(following).query)
    except ValueError:
        raise malformed_record() from None
    place: dict[str, str] = {name: query[name][0] for name in ("Page", "PageToken") if name in query}
    if not place or not all(map(_PLACE.fullmatch, place.values())):
        raise malformed_record()
    return place
