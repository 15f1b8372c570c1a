"""Is this request Twilio's? Size, form, account and signature, in the order in which they are answered.

Nothing is written and nobody is asked before this has said yes. Which tokens count is router.webhooks.accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request

from adapters.twilio import Form, FormError, read_form, read_text, request_url
from router.bodies import CutOffError, TooLargeError, read_body
from router.calls.flow import Progress
from router.routing.dispatch import Deadline
from router.store.keys.account_tokens import SealedToken
from router.webhooks.accounts import Accounts, UnknownAccountError, UnverifiableError, WrongSignatureError
from router.webhooks.token_watch import TokenWatch

_MOST_BYTES: Final = 64 * 1024
_REQUIRED: Final = ("CallSid", "AccountSid")
_NOTHING_READ: Final[Mapping[str, str]] = {}


class RefusedError(Exception):
    """A request that is answered with an HTTP status and a sentence. `params` are what could be read of it."""

    def __init__(self, status: int, reason: str, message: str, params: Mapping[str, str] = _NOTHING_READ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.params = params


@dataclass(frozen=True, slots=True)
class Verified:
    """A request that Twilio has proven to be its own."""

    params: Mapping[str, str]
    account_sid: str
    call_sid: str
    tokens: tuple[SealedToken, ...] | None  # those that prove it; None for the platform's own
    deadline: Deadline
    progress: Progress
    form: Form
    url: str
    signature: str


class Verifier:
    """Verifies requests under our public address."""

    def __init__(self, accounts: Accounts, watch: TokenWatch, public_url: str) -> None:
        self._accounts = accounts
        self._watch = watch
        self._public_url = public_url

    async def aclose(self) -> None:
        await self._watch.aclose()

    async def verify(self, request: Request, deadline: Deadline) -> Verified:
        """Raises RefusedError."""
        form, params = _read_params(await _read_body(request))
        url = request_url(self._public_url, _raw_path(request), request.scope["query_string"])
        signature = request.headers.get("x-twilio-signature", "")
        if not signature:
            raise RefusedError(403, "missing_signature", "the X-Twilio-Signature header is missing", params)
        tokens = await self._prove(params, url, form, signature)
        return Verified(
            params=params,
            account_sid=params["AccountSid"],
            call_sid=params["CallSid"],
            tokens=tokens,
            deadline=deadline,
            progress=Progress(),
            form=form,
            url=url,
            signature=signature,
        )

    async def verify_again(self, verified: Verified) -> Verified:
        """The remembered token that proved it may have been replaced or deleted: ask the database.

        Raises RefusedError.
        """
        tokens = await self._prove(verified.params, verified.url, verified.form, verified.signature, reload=True)
        return replace(verified, tokens=tokens)

    async def _prove(
        self, params: Mapping[str, str], url: str, form: Form, signature: str, *, reload: bool = False
    ) -> tuple[SealedToken, ...] | None:
        account_sid, number = params["AccountSid"], params.get("To", "")
        try:
            tokens = await self._accounts.verify(account_sid, url, form, signature, reload=reload)
        except UnknownAccountError:
            raise RefusedError(403, "unknown_account", "no agency uses this account", params) from None
        except WrongSignatureError:
            self._watch.note_wrong(account_sid, number)
            message = "the signature does not fit: check the account's auth token and the public URL"
            raise RefusedError(403, "wrong_signature", message, params) from None
        except UnverifiableError:
            raise RefusedError(503, "unverifiable", "the signature cannot be checked now", params) from None
        self._watch.note_right(account_sid, number)
        return tokens


async def _read_body(request: Request) -> bytes:
    try:
        return await read_body(request, _MOST_BYTES)
    except TooLargeError:
        raise RefusedError(413, "too_large", "the body is over 64 kB") from None
    except CutOffError:
        raise RefusedError(400, "not_a_form", "the request was cut off") from None


def _read_params(body: bytes) -> tuple[Form, dict[str, str]]:
    try:
        form = read_form(body)
    except FormError as error:
        raise RefusedError(400, "not_a_form", f"the body is no form: {error}") from None
    # PostgreSQL's text has no place for NUL; nothing that Twilio sends needs one.
    params = {name: value.replace("\0", "") for name, value in read_text(form).items()}
    for name in _REQUIRED:
        if not params.get(name):
            raise RefusedError(400, "missing_field", f"the form has no {name}", params)
    return form, params


def _raw_path(request: Request) -> bytes:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0]
