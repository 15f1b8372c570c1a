"""What an agency is told when a seller refuses, with what can be done about it."""

from __future__ import annotations

from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import NumberGone, PapersRequired
from adapters.features import About
from router.errors import ConflictError, DomainError, InvalidError, UnreachableError
from router.refusals import explain_refusal, quote

UNCLEAR: Final = frozenset(
    {ErrorKind.TIMEOUT, ErrorKind.UNREACHABLE, ErrorKind.PROVIDER_ERROR, ErrorKind.MALFORMED_REPLY}
)
"""It is not known whether what was asked for was done."""


def explain_sale(about: About, error: ProviderError, *, platform_pays: bool) -> DomainError:
    """`platform_pays`: it was to be bought on the platform's main account, whose token the agency cannot replace."""
    label = about.label
    match error:
        case NumberGone():
            return ConflictError(f"{label} does not have this number for sale any more: choose another one.")
        case PapersRequired():
            said = error.said or "numbers there are sold only with an address on file at Twilio"
            return InvalidError("country", said)
        case ProviderError(kind=ErrorKind.OUT_OF_CREDIT):
            return ConflictError(f"{label} has sold nothing: there is no money on the account.{quote(error)}")
        case ProviderError(kind=ErrorKind.BAD_REQUEST):
            return InvalidError("country", f"{label} does not sell that.{quote(error)}")
        case ProviderError(kind=ErrorKind.KEY_REJECTED) if platform_pays:
            return UnreachableError("Twilio refuses the platform's account: its operator has to look after that.")
    return explain_refusal(about, error)


def explain_unclear(label: str) -> UnreachableError:
    """The purchase may have been made."""
    return UnreachableError(
        f"It is not known yet whether {label} has sold the number. We look for it, and if it "
        "is there it stands in the list of numbers in a few minutes. Asking the same again looks first, too, and buys "
        "no second one.",
        retry_after=60,
    )
