"""Plays recordings of AI calls, and deletes calls at the voice provider that had them. They are stored there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adapters.base import ErrorKind, GoneError, ProviderError
from adapters.provider import Provider
from adapters.recordings import ElsewhereError, delete_call, stream_recording
from adapters.registry import Providers
from crypto import OpenError
from router.accounts import REQUEST_SECONDS
from router.errors import ConflictError, NotFoundError, UnreachableError, require
from router.messages.playback import Playback
from router.refusals import explain_no_key, explain_refusal, quote
from router.store.calls.history import PastCall, find_call
from router.store.calls.reports import CallStory, find_story
from router.store.keys.versions import find_key_in_use
from router.store.pool import Database
from router.vault import Vault

_HOW: Final = "Delete it there yourself, and then here alone (only_here=true)."
_REFUSALS: Final = frozenset({ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST, ErrorKind.OUT_OF_CREDIT})


@dataclass(frozen=True, slots=True)
class _Held:
    """A call that a provider had, and its API opened."""

    provider: Provider[Any]
    client: Any
    id: str


@dataclass(frozen=True, slots=True)
class CallRecordings:
    database: Database
    vault: Vault
    providers: Providers

    def may_have(self, call: PastCall, story: CallStory) -> bool:
        """Whether there may be a recording: only the provider knows."""
        provider = self.providers.get(call.provider or "")
        is_over = call.ended_at is not None and call.answered_at is not None
        return is_over and provider is not None and provider.recordings is not None and bool(story.provider_call_id)

    async def play(self, agency_id: str, call_id: str, byte_range: str | None) -> Playback:
        """Streamed through us, from where the provider says at this moment that it is.

        Raises NotFoundError, NoKeyError, KeyRejectedError, UnreachableError.
        """
        call = require(await find_call(self.database.settings, agency_id, call_id), "call")
        held = await self._open(agency_id, call)
        if held is None:
            raise explain_no_key(call.provider or "", self.providers.label(call.provider or ""))
        if held.provider.recordings is None:
            raise NotFoundError("recording")
        parts = stream_recording(held.client, held.provider.recordings, held.id, byte_range)
        about = held.provider.about
        try:
            return Playback(await anext(parts), parts)
        except GoneError:
            raise NotFoundError(f"recording at {about.label}") from None
        except ElsewhereError:
            detail = f"{about.label} does not store this recording itself, so it is not fetched. Listen to it at {about.label}."
            raise UnreachableError(detail) from None
        except ProviderError as error:
            raise explain_refusal(about, error) from None

    async def delete(self, agency_id: str, call: PastCall) -> None:
        """The call at its provider, with recording and transcript. Also fine if it is gone already, or if no provider had
        it. Raises ConflictError if the provider does not delete it, UnreachableError.
        """
        try:
            held = await self._open(agency_id, call)
        except NotFoundError:
            return
        if held is None:
            label = self.providers.label(call.provider or "")
            raise ConflictError(
                f"{explain_no_key(call.provider or '', label).detail} Without it, the call stays at {label}. {_HOW}"
            )
        label = held.provider.label
        if held.provider.recordings is None:
            raise ConflictError(f"{label} has no way to delete its record of the call from here. {_HOW}")
        try:
            await delete_call(held.client, held.provider.recordings, held.id)
        except ProviderError as error:
            if error.kind in _REFUSALS:
                raise ConflictError(f"{label} does not delete its record of the call.{quote(error)} {_HOW}") from None
            raise explain_refusal(held.provider.about, error) from None

    async def _open(self, agency_id: str, call: PastCall) -> _Held | None:
        """None: there is no key for the provider. Raises NotFoundError if no provider had the call."""
        story = await find_story(self.database.settings, agency_id, call.id)
        if not call.provider or not story.provider_call_id or call.provider not in self.providers:
            raise NotFoundError("recording")
        provider = self.providers[call.provider]
        stored = await find_key_in_use(self.database.settings, agency_id, call.provider)
        if stored is None:
            return None
        try:
            key = self.vault.open_key(stored)
        except OpenError:
            return None
        return _Held(provider, provider.open(key, REQUEST_SECONDS), story.provider_call_id)
