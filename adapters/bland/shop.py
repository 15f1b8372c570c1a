"""Numbers that Bland sells. A new number takes messages until its assistant is put on it.

Bland docs: Purchase inbound number. Releasing a bought number is documented only by Bland's command line program.
"""

from __future__ import annotations

from typing import Final

from adapters.base import ErrorKind, ProviderError, bad_request
from adapters.bland.api import Client, number_path
from adapters.bland.inbound import find_settings, list_numbers, read_settings, set_fallback, take_messages
from adapters.bland.settings import NEUTRAL, marker_on
from adapters.facets import NumberOrder
from adapters.phone import is_e164
from adapters.portable import Copy, NativeNumber, Registration, Wiring
from adapters.replies import text
from crypto.secret import Secret

_PURCHASES: Final = ("/numbers/purchase", "/v1/inbound/purchase")
"""Where numbers are bought: Bland's page names the first, its command line program and older pages the second."""

_NOT_FOUND: Final = 404


class Shop:
    """A purchase takes no label and no fallback number; the assistant comes with `put_copy`."""

    sells_in: Final = ("US", "CA")
    area_codes_in: Final = sells_in
    rings_fallback: Final = "during Bland's maintenance"
    labels_purchases: Final = False
    sets_fallback_later: Final = True

    async def list_numbers(self, client: Client) -> list[NativeNumber]:
        """Uploaded ones, too: Bland does not tell them apart."""
        return [NativeNumber(e164, e164, text(settings.get("label"))) for e164, settings in await list_numbers(client)]

    async def buy(self, client: Client, order: NumberOrder) -> NativeNumber:
        """Tries the second address only if the first does not exist: then nothing was bought."""
        if order.country not in self.sells_in:
            raise bad_request(f"Bland sells no numbers in {order.country}")
        body: dict[str, object] = {
            "country_code": order.country,
            "prompt": NEUTRAL["prompt"],
            "webhook": Secret(order.wiring.webhook_url),
        }
        if order.area_code:
            body["area_code"] = order.area_code
        client = client.hiding(order.wiring.secret)
        try:
            answer = await client.ask("POST", _PURCHASES[0], json=body)
        except ProviderError as error:
            if error.status != _NOT_FOUND:
                raise
            answer = await client.ask("POST", _PURCHASES[1], json=body)
        e164 = answer.get("phone_number")
        if not is_e164(e164):
            raise ProviderError(ErrorKind.MALFORMED_REPLY)
        return NativeNumber(e164, e164)

    async def assign(
        self, client: Client, number: NativeNumber, copy: Copy | None, wiring: Wiring, fallback: str | None
    ) -> None:
        """The number takes messages, and the former assistant no longer answers, until `put_copy` brings the new one."""
        settings = await read_settings(client, number.remote_id)
        if copy is None or marker_on(settings) != copy.parts.get("marker"):
            await take_messages(client, Registration(number.remote_id), wiring)
            settings = await read_settings(client, number.remote_id)
        await set_fallback(client, number.remote_id, settings, fallback)

    async def release(self, client: Client, number: NativeNumber) -> None:
        """Checks that it is gone, because it costs money every month until then."""
        path = number_path(number.remote_id)
        for method, address in (("DELETE", path), ("POST", f"{path}/delete")):
            try:
                await client.ask(method, address)
            except ProviderError as error:
                if error.kind is not ErrorKind.BAD_REQUEST:
                    raise
            if await find_settings(client, number.remote_id) is None:
                return
        raise bad_request(f"Bland still has {number.e164}: release it in Bland's dashboard")
