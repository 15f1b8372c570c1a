"""What an agency hears when a seller refuses, in words that say what can be done."""

from __future__ import annotations

from typing import Final

from adapters.base import ErrorKind, NumberGone, PapersRequired, ProviderError
from router.api.problems import Problem, invalid
from router.numbers.carriers import refusal, unreachable
from router.particulars import particulars_of
from router.services import CARRIER, ApiServices

UNCLEAR: Final = frozenset(
    {ErrorKind.TIMEOUT, ErrorKind.UNREACHABLE, ErrorKind.PROVIDER_ERROR, ErrorKind.MALFORMED_REPLY}
)
"""Nobody knows whether what was asked for was done."""


def explain(services: ApiServices, account_sid: str, seller: str, error: ProviderError) -> Problem:
    """`account_sid` is whose money it would have been, as a purchase has it."""
    label = particulars_of(seller).label
    if isinstance(error, NumberGone):
        return Problem("conflict", f"{label} does not have this number for sale any more: choose another one.")
    if isinstance(error, PapersRequired):
        return invalid("country", error.said or "numbers there are sold only with an address on file at Twilio")
    return _explain_kind(services, account_sid, seller, error)


def _explain_kind(services: ApiServices, account_sid: str, seller: str, error: ProviderError) -> Problem:
    label = particulars_of(seller).label
    said = f" It said: {error.said}." if error.said else ""
    match error.kind:
        case ErrorKind.OUT_OF_CREDIT:
            return Problem("conflict", f"{label} has sold nothing: there is no money on the account.{said}")
        case ErrorKind.BAD_REQUEST:
            return invalid("country", f"{label} does not sell that.{said}")
        case ErrorKind.KEY_REJECTED if seller == CARRIER and _is_platforms(services, account_sid):
            return Problem(
                "provider-unreachable", "Twilio refuses the platform's account: its operator has to look after that."
            )
        case ErrorKind.KEY_REJECTED:
            return refusal(seller, error)
    return unreachable(seller, error)


def unclear(seller: str) -> Problem:
    """The purchase may have been made."""
    return Problem(
        "provider-unreachable",
        f"It is not known yet whether {particulars_of(seller).label} has sold the number. We look for it, and if it "
        "is there it stands in the list of numbers in a few minutes. Asking the same again looks first, too, and buys "
        "no second one.",
        headers={"Retry-After": "60"},
    )


def _is_platforms(services: ApiServices, account_sid: str) -> bool:
    return services.platform_account is not None and services.platform_account.sid == account_sid
