"""All accounts, and who may use which. Source: Twilio docs, Subaccounts, API keys; error 20003."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator

from adapters.sandbox.api import Asked, Clock, Part, Refusal, new_id
from adapters.sandbox.twilio.records import ROOT, Account, Call


class Register:
    """All accounts, and which of them a request's credentials open."""

    def __init__(self, clock: Clock) -> None:
        self.accounts: dict[str, Account] = {}
        self.clock = clock
        self.when_placed: Callable[[Account, Call], object] | None = None

    def add(self, sid: str | None, auth_token: str | None, parent: str | None) -> Account:
        account = Account(sid or new_id("AC"), auth_token or new_id(), self.clock(), parent=parent)
        self.accounts[account.sid] = account
        return account

    def opened_by(self, user: str, secret: str) -> Account | None:
        """The account that a SID and token, or an API key and its secret, open."""
        for account in self.accounts.values():
            if secret == ({account.sid: account.auth_token} | account.api_keys).get(user):
                return account
        return None

    def asking(self, asked: Asked) -> Account:
        """The account in the path, or `main` without one. Wrong credentials and a suspended account look alike
        (error 20003); only the record of a suspended account itself is still served.
        """
        if "account" not in asked.parameters:
            return self.main(asked)
        opened = self.opened_by(*credentials(asked))
        account = self.accounts.get(asked.parameters["account"])
        if opened is None or account is None or opened.sid not in {account.sid, account.parent}:
            raise Refusal(401)
        if account.status != "active" and asked.path != f"{ROOT}/{account.sid}.json":
            raise Refusal(401)
        return account

    def main(self, asked: Asked) -> Account:
        """The account whose own token was sent: an API key may do most things, but not manage accounts and keys."""
        user, secret = credentials(asked)
        account = self.opened_by(user, secret)
        if account is None or account.status != "active":
            raise Refusal(401)
        if user != account.sid:
            raise Refusal(403)
        return account

    def __iter__(self) -> Iterator[Account]:
        return iter(self.accounts.values())

    def payer(self, account: Account) -> Account:
        return self.accounts[account.parent] if account.parent else account


def credentials(asked: Asked) -> tuple[str, str]:
    """User and password of HTTP basic authentication; empty if there are none."""
    scheme, _, encoded = asked.headers.get("authorization", "").partition(" ")
    try:
        user, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, secret) if scheme == "Basic" else ("", "")


class TwilioPart(Part[Account]):
    """Resources of an account."""

    operation = "check"

    def __init__(self, register: Register) -> None:
        super().__init__(register, register.clock)
        self._register = register


def not_found(asked: Asked) -> str:
    return f"The requested resource {asked.path} was not found"
