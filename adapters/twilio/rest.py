"""How Twilio's REST API of 2010-04-01 is asked: addresses, credentials, refusals, pages, and the types of its fields.

Every address is built from our setting and checked SIDs, never taken from a request or a reply: of the address of a
list's next page, too, only the place in the list is used. What is asked is in the modules beside this one, one a
resource. Twilio docs: Usage / Twilio's Request, Response (paging).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qs, urlencode, urlsplit

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account
from adapters.http import Auth, Http
from adapters.replies import Reply, find, number, read_answer, read_json, refusal, text

NAME: Final = "twilio"
NOT_FOUND: Final = 404
MAX_NAME: Final = 64  # characters of a FriendlyName
_PAGE_SIZE: Final = 250  # Twilio allows 1,000, but a reply of that many calls is larger than we read
_MAX_PAGES: Final = 400
_PLACE: Final = re.compile(r"[!-~]{1,256}")

Method: TypeAlias = Literal["GET", "POST", "DELETE"]
SidPrefix: TypeAlias = Literal["AC", "CA", "PN", "RE", "SK"]


class TwilioError(ProviderError):
    """A refusal of Twilio's. `code` is its own number for it, which its error dictionary explains."""

    def __init__(self, error: ProviderError, code: int | None) -> None:
        said = error.said if code is None else f"{error.said} (Twilio error {code})".lstrip()
        super().__init__(error.kind, status=error.status, said=said, retry_after=error.retry_after)
        self.code = code


class Rest:
    """Keeps neither accounts nor tokens. `account` is whose credentials are used, `path` is below the API's version."""

    def __init__(self, http: Http, base_url: str) -> None:
        self.http = http
        self._root = f"{base_url.rstrip('/')}/2010-04-01"

    async def ask(
        self, account: Account, method: Method, path: str, limit: float, form: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON that is answered. Raises ProviderError for everything but a success."""
        reply = await self.send(account, method, path, limit, form)
        if not reply.ok:
            raise _refusal(reply, account)
        return read_answer(reply, ())

    async def ask_for(self, account: Account, path: str, limit: float) -> Any | None:
        """Likewise with GET; None if there is no such thing."""
        reply = await self.send(account, "GET", path, limit)
        if reply.status == NOT_FOUND:
            return None
        if not reply.ok:
            raise _refusal(reply, account)
        return read_answer(reply, ())

    async def delete(self, account: Account, path: str, limit: float) -> None:
        """Also fine if it is gone already."""
        reply = await self.send(account, "DELETE", path, limit)
        if not reply.ok and reply.status != NOT_FOUND:
            raise _refusal(reply, account)

    async def records(
        self, account: Account, path: str, query: Mapping[str, str], name: str, limit: float
    ) -> AsyncIterator[Any]:
        """The records of a list, asked for page by page as they are read. `name`: under which they stand in a page."""
        place: dict[str, str] = {}
        for _ in range(_MAX_PAGES):
            asked = urlencode({**query, "PageSize": str(_PAGE_SIZE), **place})
            page = await self.ask(account, "GET", f"{path}?{asked}", limit)
            records = find(page, name)
            if not isinstance(records, list):
                raise malformed_record()
            for record in records:
                yield record
            following = _next_place(page)
            if following is None:
                return
            if following == place:
                break
            place = following
        raise malformed_record()  # it leads in circles, or has no end

    async def send(
        self, account: Account, method: Method, path: str, limit: float, form: Mapping[str, str] | None = None
    ) -> Reply:
        check_sid("AC", account.sid)
        auth = Auth.basic(account.sid, account.auth_token)
        return await self.http.send(NAME, method, self.url(path), auth=auth, form=form, limit=limit)

    def url(self, path: str) -> str:
        return f"{self._root}{path}"


class Resource:
    """A part of the API."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest


def home(account: Account) -> str:
    """The path of the account. Raises bad_request for a SID that is none."""
    check_sid("AC", account.sid)
    return f"/Accounts/{account.sid}"


def check_sid(prefix: SidPrefix, sid: str) -> None:
    """SIDs go into addresses: nothing but the documented form may. Raises bad_request."""
    if not is_sid(prefix, sid):
        raise ProviderError(
            ErrorKind.BAD_REQUEST, said=f"a Twilio SID of this kind is {prefix} and 32 hexadecimal digits"
        )


def is_sid(prefix: SidPrefix, value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(f"{prefix}[0-9a-fA-F]{{32}}", value) is not None


def read_sid(prefix: SidPrefix, record: Any) -> str:
    """The SID of a record. Raises malformed_reply."""
    sid = find(record, "sid")
    if not isinstance(sid, str) or not is_sid(prefix, sid):
        raise malformed_record()
    return sid


def read_time(value: Any) -> datetime | None:
    """A moment as Twilio writes it (RFC 2822); None for what is none."""
    written = text(value)
    if written is None:
        return None
    try:
        moment = parsedate_to_datetime(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def beginning_of_day(moment: datetime) -> str:
    """A filter by time as Twilio's own client writes it; whether it counts more than the day is not documented."""
    return f"{moment.astimezone(UTC).date().isoformat()}T00:00:00Z"


def read_seconds(value: Any) -> int | None:
    seconds = number(value)
    return None if seconds is None or seconds < 0 else round(seconds)


def malformed_record() -> ProviderError:
    return ProviderError(ErrorKind.MALFORMED_REPLY, status=200)


def _refusal(reply: Reply, account: Account) -> TwilioError:
    error = refusal(reply, (), account.auth_token)
    code = None
    with suppress(ValueError):  # an error page of a proxy is no JSON: its status says enough
        code = find(read_json(reply.body), "code")
    return TwilioError(error, code if isinstance(code, int) and not isinstance(code, bool) else None)


def _next_place(page: Any) -> dict[str, str] | None:
    """Where in the list its next page begins; None at the end. Raises malformed_reply."""
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
