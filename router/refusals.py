"""What an agency is told when a provider or the carrier refuses, or cannot be asked."""

from __future__ import annotations

from adapters.base import ErrorKind, ProviderError
from adapters.features import About
from router.errors import DomainError, KeyRejectedError, NoKeyError, UnreachableError


def explain_refusal(about: About, error: ProviderError) -> DomainError:
    """`about` the provider or carrier that refused."""
    if error.kind is not ErrorKind.KEY_REJECTED:
        return UnreachableError(f"{about.label} could not be asked ({error}). Try again soon.", retry_after=5)
    return KeyRejectedError(f"{about.label} refused the key.{quote(error)} {about.find_key}")


def explain_no_key(kind: str, label: str) -> NoKeyError:
    """The agency has not saved one."""
    return NoKeyError(f"The agency has no key for {label}: save one with PUT /keys/{kind} first.")


def quote(error: ProviderError) -> str:
    """What the other side said, as a sentence to append; empty if it said nothing."""
    return f" It said: {error.said}." if error.said else ""
