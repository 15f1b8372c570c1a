"""What an agency reads when a provider or the carrier refuses, has nothing to sell, or cannot be reached."""

from __future__ import annotations

from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import NumberGone, PapersRequired
from adapters.features import About
from router.errors import ConflictError, DomainError, InvalidError, KeyRejectedError, NoKeyError, UnreachableError

UNCLEAR: Final = frozenset(
    {ErrorKind.TIMEOUT, ErrorKind.UNREACHABLE, ErrorKind.PROVIDER_ERROR, ErrorKind.MALFORMED_REPLY}
)
"""It is not known whether the request was carried out."""


def explain_refusal(about: About, error: ProviderError) -> DomainError:
    """`about`: the provider or carrier that refused."""
    if error.kind is not ErrorKind.KEY_REJECTED:
        return UnreachableError(f"{about.label} could not be asked ({error}). Try again soon.", retry_after=5)
    return KeyRejectedError(f"{about.label} refused the key.{quote(error)} {about.find_key}")


def explain_no_key(kind: str, label: str) -> NoKeyError:
    """The agency has not saved one."""
    return NoKeyError(f"The agency has no key for {label}: save one with PUT /keys/{kind} first.")


def quote(error: ProviderError) -> str:
    """What the other side said, as a sentence to append; empty if it said nothing."""
    return f" It said: {error.said.rstrip('.')}." if error.said else ""


def explain_sale(about: About, error: ProviderError, *, platform_pays: bool) -> DomainError:
    """`platform_pays`: the platform's account would pay, whose token the agency cannot replace."""
    label = about.label
    match error:
        case NumberGone():
            return ConflictError(f"{label} does not have this number for sale any more: choose another one.")
        case PapersRequired():
            said = error.said or "numbers there are sold only with an address on file at Twilio"
            return InvalidError("country", said)
        case ProviderError(kind=ErrorKind.OUT_OF_CREDIT):
            return ConflictError(f"{label} has sold nothing: the account has no credit.{quote(error)}")
        case ProviderError(kind=ErrorKind.BAD_REQUEST):
            return InvalidError("country", f"{label} does not sell that.{quote(error)}")
        case ProviderError(kind=ErrorKind.KEY_REJECTED) if platform_pays:
            return UnreachableError("Twilio refuses the platform's account. Please tell its operator.")
    return explain_refusal(about, error)


def explain_unclear(label: str) -> UnreachableError:
    """The purchase may have been made."""
    return UnreachableError(
        f"{label} has not confirmed the purchase yet. If it went through, the number will appear in the list of "
        "numbers within a few minutes. Repeating this request looks for that number first, so it does not buy a second one.",
        retry_after=60,
    )
