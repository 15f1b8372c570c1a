"""The API under /retell: its parts in one, its error bodies, and what a test puts into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from adapters.sandbox.api import Asked, Clock, Json, Refusal, StandIn, new_id
from adapters.sandbox.orgs import Orgs
from adapters.sandbox.retell.agents import Agents
from adapters.sandbox.retell.calls import NO_LINE, SIP_HOST, Calls
from adapters.sandbox.retell.knowledge import KnowledgeBases
from adapters.sandbox.retell.llms import Llms
from adapters.sandbox.retell.numbers import PhoneNumbers
from adapters.sandbox.retell.org import MESSAGES, RetellOrg
from adapters.sandbox.retell.voices import Voices


class Retell(StandIn):
    """Retell's stand-in and all that its orgs own."""

    name = "retell"
    vital = frozenset({"call_id", "org_id"})
    words: ClassVar = {"wallet": Refusal(402), "concurrency": Refusal(429, NO_LINE)}
    messages: ClassVar = MESSAGES
    unfit: ClassVar = {"call_id": "nobody@evil.example;transport=udp"}
    shown: ClassVar = ("agents", "llms", "knowledge_bases", "numbers")

    def __init__(self, clock: Clock) -> None:
        self.orgs: Orgs[RetellOrg] = Orgs()
        self.calls = Calls(self.orgs, clock)
        self._agents = Agents(self.orgs, clock)
        self._llms = Llms(self.orgs, clock)
        others = (KnowledgeBases(self.orgs, clock), PhoneNumbers(self.orgs, clock), Voices(self.orgs, clock))
        self.parts = (self.calls, self._agents, self._llms, *others)

    def add_org(self, key: str | None = None, name: str = "A Retell org", *, balance: float = 25.0) -> RetellOrg:
        return self.orgs.add(RetellOrg(name, key or new_id("key_", 28), new_id("org_", 16), balance))

    def add_assistant(self, org: RetellOrg, name: str = "Front desk", *, published: bool = True) -> str:
        """The new agent's id."""
        llm = self._llms.add(org, {"general_prompt": "You answer the phone.", "start_speaker": "agent"})
        engine = {"type": "retell-llm", "llm_id": llm["llm_id"], "version": 0}
        body = {"agent_name": name, "voice_id": "11labs-Adrian", "response_engine": engine}
        agent = self._agents.add(org, body)
        if published:
            self._agents.publish(org, agent)
        return str(agent["agent_id"])

    def key_of(self, asked: Asked) -> str:
        return self.orgs.key_of(asked)

    def far_ends(self) -> Mapping[tuple[str, str], Callable[..., Any]]:
        return {("sip", SIP_HOST): self.calls.answer_sip}

    def describe_error(self, _: Refusal, message: str | list[str]) -> Json:
        return {"status": "error", "message": message}
