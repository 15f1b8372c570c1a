"""The API under /elevenlabs: its parts in one, its error bodies, and what a test puts into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from adapters.sandbox.api import BAD_TWIML, Asked, Clock, Json, Refusal, StandIn, new_id
from adapters.sandbox.elevenlabs.agents import Agents
from adapters.sandbox.elevenlabs.calls import STREAM_HOST, Calls
from adapters.sandbox.elevenlabs.org import MESSAGES, NAMES, NO_CREDIT, NO_LINE, ElevenLabsOrg
from adapters.sandbox.elevenlabs.tools import Tools
from adapters.sandbox.elevenlabs.voices import Voices
from adapters.sandbox.elevenlabs.workspace import Documents, Webhooks
from adapters.sandbox.orgs import Orgs

_INVALID = 422


def _key_of(asked: Asked) -> str:
    return asked.headers.get("xi-api-key", "")


class ElevenLabs(StandIn):
    """ElevenLabs' stand-in and all that its orgs own."""

    name = "elevenlabs"
    vital = frozenset({"agents", "agent_id", "tools", "id", "documents", "webhooks", "webhook_id"})
    words: ClassVar = {"wallet": Refusal(401, NO_CREDIT), "concurrency": Refusal(429, NO_LINE)}
    messages: ClassVar = MESSAGES
    unfit: ClassVar = {"agents": "none", "agent_id": "../x"}
    shown: ClassVar = ("agents", "tools", "documents", "webhooks")

    def __init__(self, clock: Clock) -> None:
        self.orgs: Orgs[ElevenLabsOrg] = Orgs(_key_of)
        self.calls = Calls(self.orgs, clock)
        self._agents = Agents(self.orgs, clock)
        others = (Tools(self.orgs, clock), Documents(self.orgs, clock), Webhooks(self.orgs, clock))
        self.parts = (self.calls, self._agents, *others, Voices(self.orgs, clock))

    def add_org(
        self, key: str | None = None, name: str = "An ElevenLabs org", *, balance: float = 25.0
    ) -> ElevenLabsOrg:
        """Its credits are all there or all used up, as the balance is above zero or not."""
        return self.orgs.add(ElevenLabsOrg(name, key or new_id("sk_", 48), new_id("workspace_", 16), balance))

    def add_assistant(self, org: ElevenLabsOrg, name: str = "Front desk", *, audio: str = "ulaw_8000") -> str:
        """The new agent's id."""
        config = {
            "asr": {"user_input_audio_format": audio},
            "tts": {"agent_output_audio_format": audio},
            "agent": {"first_message": "Hello!", "prompt": {"prompt": "You answer the phone."}},
        }
        return self._agents.add(org, {"name": name, "conversation_config": config})

    def key_of(self, asked: Asked) -> str:
        return self.orgs.key_of(asked)

    def far_ends(self) -> Mapping[tuple[str, str], Callable[..., Any]]:
        return {("stream", STREAM_HOST): self.calls.answer_stream}

    def describe_error(self, refusal: Refusal, message: str | list[str]) -> Json:
        if refusal.status == _INVALID:
            return {"detail": [{"loc": ["body"], "msg": str(message), "type": "value_error"}]}
        name = NAMES.get(str(message), NAMES.get(refusal.status, "error"))
        return {"detail": {"status": name, "message": message}}

    def bend_document(self, fault: str, document: str) -> str:
        return "<Response/>" if fault == "no-twiml" else BAD_TWIML.get(fault, document)
