"""What an agency is told when a provider or the carrier refuses, or cannot be asked."""

from __future__ import annotations

from adapters.base import ErrorKind, ProviderError
from router.errors import DomainError, KeyRejectedError, NoKeyError, UnreachableError
from router.particulars import particulars_of


def explain_refusal(kind: str, error: ProviderError) -> DomainError:
    """`kind` is the provider's or the carrier's name."""
    if error.kind is not ErrorKind.KEY_REJECTED:
        return explain_unreachable(kind, error)
    particulars = particulars_of(kind)
    return KeyRejectedError(f"{particulars.label} refused the key.{quote(error)} {particulars.find_key}")


def explain_unreachable(kind: str, error: ProviderError) -> UnreachableError:
    return UnreachableError(
        f"{particulars_of(kind).label} could not be asked ({error}). Try again soon.", retry_after=5
    )


def explain_no_key(kind: str) -> NoKeyError:
    """The agency has not saved one."""
    return NoKeyError(f"The agency has no key for {particulars_of(kind).label}: save one with PUT /keys/{kind} first.")


def quote(error: ProviderError) -> str:
    """What the other side said, as a sentence to append; empty if it said nothing."""
    return f" It said: {error.said}." if error.said else ""
