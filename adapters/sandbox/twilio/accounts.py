"""Accounts, their subaccounts and API keys. Source: Twilio docs, Account resource, Subaccounts, Balance, API keys (v2010)."""

from __future__ import annotations

from email.utils import format_datetime

from adapters.sandbox.api import Asked, Json, Refusal, endpoint, new_id
from adapters.sandbox.twilio.paging import page_of
from adapters.sandbox.twilio.records import ROOT, Account
from adapters.sandbox.twilio.register import TwilioPart, not_found

_STATUSES = frozenset({"active", "suspended", "closed"})


class Accounts(TwilioPart):
    """Accounts and keys. Only the token of an account may create, list or change them."""

    prefix = ROOT

    @endpoint("GET", ".json")
    def _list(self, main: Account, asked: Asked) -> Json:
        """The asking account and its subaccounts, newest first; the name must match exactly."""
        found = [
            _describe(account)
            for account in reversed(self._register.accounts.values())
            if main.sid in {account.sid, account.parent}
            and asked.query.get("FriendlyName") in (None, account.friendly_name)
            and asked.query.get("Status") in (None, account.status)
        ]
        return page_of("accounts", found, asked)

    @endpoint("POST", ".json", status=201)
    def _create(self, main: Account, asked: Asked) -> Json:
        if main.parent is not None:
            raise Refusal(403, "Subaccounts cannot have subaccounts")
        child = self._register.add(None, None, main.sid)
        child.friendly_name = asked.form().get("FriendlyName") or "SubAccount Created at Sandbox"
        return _describe(child)

    @endpoint("GET", "/{account}.json")
    def _show(self, account: Account, _asked: Asked) -> Json:
        return _describe(account)

    @endpoint("POST", "/{account}.json")
    def _change(self, account: Account, asked: Asked) -> Json:
        """Only the parent changes a status, and what is closed stays closed. Its numbers go back."""
        main = self._register.main(asked)
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
        return _describe(account)

    @endpoint("GET", "/{account}/Balance.json")
    def _show_balance(self, account: Account, _asked: Asked) -> Json:
        balance = f"{self._register.payer(account).balance:.2f}"
        return {"account_sid": account.sid, "balance": balance, "currency": "USD"}

    @endpoint("GET", "/{account}/Keys.json")
    def _list_keys(self, account: Account, asked: Asked) -> Json:
        self._register.main(asked)
        return page_of("keys", [_describe_key(account, sid) for sid in account.api_keys], asked)

    @endpoint("POST", "/{account}/Keys.json", status=201)
    def _create_key(self, account: Account, asked: Asked) -> Json:
        self._register.main(asked)
        sid, secret = new_id("SK"), new_id()
        account.api_keys[sid] = secret
        account.key_names[sid] = asked.form().get("FriendlyName", "")
        return _describe_key(account, sid) | {"secret": secret}

    @endpoint("GET", "/{account}/Keys/{id}.json")
    def _show_key(self, account: Account, asked: Asked) -> Json:
        self._register.main(asked)
        asked.find(account.api_keys, message=not_found(asked))
        return _describe_key(account, asked.id)

    @endpoint("DELETE", "/{account}/Keys/{id}.json")
    def _delete_key(self, account: Account, asked: Asked) -> None:
        self._register.main(asked)
        asked.pop(account.api_keys, message=not_found(asked))


def _describe_key(account: Account, sid: str) -> Json:
    made_at = format_datetime(account.made_at)
    name = account.key_names.get(sid, "")
    return {"sid": sid, "friendly_name": name, "date_created": made_at, "date_updated": made_at}


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
