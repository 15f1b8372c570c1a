"""Accounts, their subaccounts and API keys. Source: Twilio docs, Account resource, Subaccounts, Balance, API keys (v2010)."""

from __future__ import annotations

from email.utils import format_datetime

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Endpoint, Json, Refusal
from adapters.sandbox.ids import new_id
from adapters.sandbox.twilio.paging import page_of
from adapters.sandbox.twilio.records import ROOT, Account
from adapters.sandbox.twilio.register import Register, not_found

_STATUSES = frozenset({"active", "suspended", "closed"})


class AccountsApi:
    """Accounts and keys under the API's root."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def endpoints(self) -> list[Endpoint]:
        one, keys = f"{ROOT}/{{account}}.json", f"{ROOT}/{{account}}/Keys"
        return [
            Endpoint("GET", f"{ROOT}.json", self._list, "check"),
            Endpoint("POST", f"{ROOT}.json", self._create, "check"),
            Endpoint("GET", one, self._show, "check"),
            Endpoint("POST", one, self._change, "check"),
            Endpoint("GET", f"{ROOT}/{{account}}/Balance.json", self._show_balance, "check"),
            Endpoint("GET", f"{keys}.json", self._list_keys, "check"),
            Endpoint("POST", f"{keys}.json", self._create_key, "check"),
            Endpoint("GET", f"{keys}/{{sid}}.json", self._show_key, "check"),
            Endpoint("DELETE", f"{keys}/{{sid}}.json", self._delete_key, "check"),
        ]

    def _list(self, asked: Asked) -> Response:
        """The asking account and its subaccounts, newest first; the name must match exactly."""
        main = self._register.asking(asked)
        found = [
            _describe(account)
            for account in reversed(self._register.accounts.values())
            if main.sid in {account.sid, account.parent}
            and asked.query.get("FriendlyName") in (None, account.friendly_name)
            and asked.query.get("Status") in (None, account.status)
        ]
        return JSONResponse(page_of("accounts", found, asked))

    def _create(self, asked: Asked) -> Response:
        main = self._register.asking(asked)
        if main.parent is not None:
            raise Refusal(403, "Subaccounts cannot have subaccounts")
        child = self._register.add(None, None, main.sid)
        child.friendly_name = asked.form().get("FriendlyName") or "SubAccount Created at Sandbox"
        return JSONResponse(_describe(child), 201)

    def _show(self, asked: Asked) -> Response:
        return JSONResponse(_describe(self._register.asked_for(asked, even_suspended=True)))

    def _change(self, asked: Asked) -> Response:
        """Only the parent changes a status, and what is closed stays closed. Its numbers go back."""
        main = self._register.asking(asked)
        account = self._register.asked_for(asked, even_suspended=True)
        form = asked.form()
        if status := form.get("Status"):
            if main.sid != account.parent or status not in _STATUSES:
                raise Refusal(403)
            if account.status == "closed" and status != "closed":
                raise Refusal(400, "A closed account cannot be opened again")
            account.status = status
        if status == "closed":
            account.numbers.clear()
        account.friendly_name = form.get("FriendlyName", account.friendly_name)
        return JSONResponse(_describe(account))

    def _show_balance(self, asked: Asked) -> Response:
        account = self._register.asked_for(asked)
        balance = f"{self._register.payer(account).balance:.2f}"
        return JSONResponse({"account_sid": account.sid, "balance": balance, "currency": "USD"})

    def _keys_of(self, asked: Asked) -> Account:
        self._register.asking(asked)
        return self._register.asked_for(asked)

    def _list_keys(self, asked: Asked) -> Response:
        account = self._keys_of(asked)
        return JSONResponse(page_of("keys", [self._describe_key(account, sid) for sid in account.api_keys], asked))

    def _create_key(self, asked: Asked) -> Response:
        account = self._keys_of(asked)
        sid, secret = new_id("SK"), new_id()
        account.api_keys[sid] = secret
        account.key_names[sid] = asked.form().get("FriendlyName", "")
        return JSONResponse(self._describe_key(account, sid) | {"secret": secret}, 201)

    def _show_key(self, asked: Asked) -> Response:
        account = self._keys_of(asked)
        return JSONResponse(self._describe_key(account, _key(account, asked)))

    def _delete_key(self, asked: Asked) -> Response:
        account = self._keys_of(asked)
        del account.api_keys[_key(account, asked)]
        return Response(status_code=204)

    def _describe_key(self, account: Account, sid: str) -> Json:
        made_at = format_datetime(account.made_at)
        name = account.key_names.get(sid, "")
        return {"sid": sid, "friendly_name": name, "date_created": made_at, "date_updated": made_at}


def _key(account: Account, asked: Asked) -> str:
    sid = asked.parameters["sid"]
    if sid not in account.api_keys:
        raise not_found(asked)
    return sid


def _describe(account: Account) -> Json:
    made_at = format_datetime(account.made_at)
    return {
        "sid": account.sid,
        "owner_account_sid": account.parent or account.sid,
        "auth_token": account.auth_token,
        "friendly_name": account.friendly_name,
        "status": account.status,
        "type": account.type,
        "date_created": made_at,
        "date_updated": made_at,
        "uri": f"{ROOT}/{account.sid}.json",
        "subresource_uris": {"calls": f"{ROOT}/{account.sid}/Calls.json"},
    }
