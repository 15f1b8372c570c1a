"""Numbers at Bland: a carrier account's own, connected and uploaded, and those that Bland sells.

Bland docs: Create encrypted key, Upload inbound numbers, Delete inbound number, Purchase inbound number; for releasing a
number that was bought there is only Bland's own command line program to go by. To upload a number rewrites its address
at the carrier, which is for the caller to undo. A new number takes messages until its assistant is put on it.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.bland.api import is_gone, number_path
from adapters.bland.inbound import ACCOUNT, Inbound, account_of
from adapters.bland.settings import NEUTRAL, is_made_by_hand, marker_on
from adapters.phone import is_e164
from adapters.portable import Copy, Counterpart, Credentials, Lines, NativeNumber, Wiring
from adapters.replies import text
from crypto.secret import Secret

_PURCHASES: Final = ("/numbers/purchase", "/v1/inbound/purchase")
"""Where numbers are bought: Bland's page names the first, its command line program and older pages the second."""

_CUT: Final = re.compile(r"encrypted|credential", re.IGNORECASE)
_NOT_FOUND: Final = 404
_ENCRYPTED: Final = re.compile(r"[\x21-\x7e]{1,4000}")


class Numbers(Inbound):
    """`NumberHost` and `LineTeller` for Bland. Every method raises ProviderError.

    Fallback numbers are not set: by Bland's docs a number that has one sends all its calls there.
    """

    registers_numbers: Final = True
    sells_in: Final = ("US", "CA")

    async def find_counterpart(self, e164: str, key: Secret, limit: float) -> Counterpart | None:
        if await self.find_settings(e164, key, limit) is None:
            return None
        return Counterpart(e164, "sip")

    async def register_number(
        self,
        e164: str,
        credentials: Credentials,
        copy: Copy | None,  # noqa: ARG002 - `put_copy` brings the assistant
        fallback: str | None,  # noqa: ARG002 - see the class
        key: Secret,
        limit: float,
    ) -> Counterpart:
        """Connects the account unless `connection` says that it is; a number that is there already stays as it is."""
        account, taken = await self._upload(e164, credentials, key, limit)
        settings = await self.find_settings(e164, key, limit, account)
        if settings is None:
            raise ProviderError(
                ErrorKind.BAD_REQUEST,
                said=f"Bland did not take {e164}; is it on the Twilio account that was connected?",
            )
        if taken and marker_on(settings) is None and not is_made_by_hand(settings):
            await self.write_settings(e164, NEUTRAL, key, limit, account)
        return Counterpart(e164, "sip", {ACCOUNT: account.reveal()})

    async def assign_counterpart(
        self,
        counterpart: Counterpart,
        copy: Copy | None,
        fallback: str | None,  # noqa: ARG002 - see the class
        key: Secret,
        limit: float,
    ) -> None:
        """`put_copy` has put the assistant there; without one the number takes messages."""
        if copy is None:
            await self._take_messages(counterpart, None, key, limit)
        else:
            await self.read_settings(counterpart.remote_id, key, limit, account_of(counterpart))

    async def unregister_number(self, counterpart: Counterpart, key: Secret, limit: float) -> None:
        path = f"{number_path(counterpart.remote_id)}/delete"
        try:
            await self.ask("POST", path, key, limit, account=account_of(counterpart))
        except ProviderError as error:
            if not is_gone(error):
                raise

    async def list_native(self, key: Secret, limit: float) -> list[NativeNumber]:
        """Bland does not tell bought numbers from uploaded ones."""
        return [
            NativeNumber(e164, e164, text(settings.get("label")))
            for e164, settings in await self.list_numbers(key, limit)
        ]

    async def buy_native(
        self,
        country: str,
        area_code: str | None,
        label: str,  # noqa: ARG002 - a purchase has no place for it
        copy: Copy | None,  # noqa: ARG002 - `put_copy` brings the assistant
        wiring: Wiring,
        fallback: str | None,  # noqa: ARG002 - see the class
        key: Secret,
        limit: float,
    ) -> NativeNumber:
        """Asks at the second address only where the first does not exist, which buys nothing."""
        if country not in self.sells_in:
            raise ProviderError(ErrorKind.BAD_REQUEST, said=f"Bland sells no numbers in {country}")
        order: dict[str, object] = {
            "country_code": country,
            "prompt": NEUTRAL["prompt"],
            "webhook": Secret(wiring.webhook_url),
        }
        if area_code:
            order["area_code"] = area_code
        secrets = (wiring.secret,)
        try:
            answer = await self.ask("POST", _PURCHASES[0], key, limit, json=order, secrets=secrets)
        except ProviderError as error:
            if error.status != _NOT_FOUND:
                raise
            answer = await self.ask("POST", _PURCHASES[1], key, limit, json=order, secrets=secrets)
        e164 = answer.get("phone_number")
        if not is_e164(e164):
            raise ProviderError(ErrorKind.MALFORMED_REPLY)
        return NativeNumber(e164, e164)

    async def assign_native(
        self,
        number: NativeNumber,
        copy: Copy | None,
        wiring: Wiring,
        fallback: str | None,  # noqa: ARG002 - see the class
        key: Secret,
        limit: float,
    ) -> None:
        """Until `put_copy` brings the new assistant the number takes messages, and the former one does not answer."""
        settings = await self.read_settings(number.remote_id, key, limit)
        if copy is None or marker_on(settings) != copy.parts.get("marker"):
            await self._take_messages(Counterpart(number.remote_id), wiring, key, limit)

    async def release_native(self, number: NativeNumber, key: Secret, limit: float) -> None:
        """Looks whether it is gone, since it costs money every month until it is."""
        path = number_path(number.remote_id)
        for method, address in (("DELETE", path), ("POST", f"{path}/delete")):
            try:
                await self.ask(method, address, key, limit)
            except ProviderError as error:
                if error.kind is not ErrorKind.BAD_REQUEST:
                    raise
            if await self.find_settings(number.remote_id, key, limit) is None:
                return
        raise ProviderError(
            ErrorKind.BAD_REQUEST, said=f"Bland still has {number.e164}: release it in Bland's dashboard"
        )

    async def count_lines(self, key: Secret, limit: float) -> Lines | None:  # noqa: ARG002 - nothing to ask
        return None

    async def _upload(self, e164: str, credentials: Credentials, key: Secret, limit: float) -> tuple[Secret, bool]:
        """The account's encrypted key, and whether the number is new at Bland. A connection that somebody cut there is
        made anew.
        """
        account = _connected(credentials)
        if account is not None:
            try:
                return account, await self._insert(e164, account, key, limit)
            except ProviderError as error:
                if error.kind is not ErrorKind.BAD_REQUEST or not _CUT.search(error.said):
                    raise
        account = await self._connect(credentials, key, limit)
        return account, await self._insert(e164, account, key, limit)

    async def _connect(self, credentials: Credentials, key: Secret, limit: float) -> Secret:
        """The encrypted key by which Bland knows the account from now on. It is shown this once."""
        answer = await self.ask(
            "POST",
            "/v1/accounts",
            key,
            limit,
            json={"account_sid": credentials.account_sid, "auth_token": credentials.auth_token},
            secrets=(credentials.auth_token,),
        )
        encrypted = answer.get("encrypted_key")
        if not isinstance(encrypted, str) or not _ENCRYPTED.fullmatch(encrypted):
            raise ProviderError(ErrorKind.MALFORMED_REPLY)
        return Secret(encrypted)

    async def _insert(self, e164: str, account: Secret, key: Secret, limit: float) -> bool:
        """Whether it is new at Bland; one that is there already is no mistake."""
        answer = await self.ask("POST", "/v1/inbound/insert", key, limit, json={"numbers": [e164]}, account=account)
        inserted = answer.get("inserted")
        return isinstance(inserted, list) and e164 in inserted

    async def _take_messages(self, number: Counterpart, wiring: Wiring | None, key: Secret, limit: float) -> None:
        """Whoever's assistant of ours was on it."""
        settings = await self.read_settings(number.remote_id, key, limit, account_of(number))
        await self.free_number(number, marker_on(settings), key, limit, wiring)


def _connected(credentials: Credentials) -> Secret | None:
    """The encrypted key of the account, if another of its numbers is at Bland already."""
    return Secret(credentials.connection[ACCOUNT]) if credentials.connection.get(ACCOUNT) else None
