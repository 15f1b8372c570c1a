"""The steps of a call: the points at which Twilio asks what to do next or reports what happened.

A step is a kind and a leg. In addresses and rows it is a text such as "ai-1", which only this module makes and reads.
(CallSid, step) is answered once, so no two steps of a call may have the same text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, PlainSerializer

from router.routing.route import RungKind

StepKind: TypeAlias = Literal[
    "inbound",  # the call comes in
    "ai",  # an AI's leg is over
    "stream",  # an AI's media stream began, ended or failed
    "owner",  # the owner's leg is over
    "screen",  # the owner picked up
    "accept",  # the owner pressed a key
    "transfer",  # the carrier asks for the document of a transfer
    "voicemail",  # the message is recorded
    "recording",  # the recording is ready
    "transcription",  # the recording is transcribed
    "provider",  # a provider reports about the whole call
    "end",  # the call is over
]

# The steps that callbacks name in their addresses, and the rung whose document leads to each.
_RUNGS: Final[dict[StepKind, RungKind]] = {
    "ai": "ai",
    "stream": "ai",
    "owner": "owner",
    "screen": "owner",
    "accept": "owner",
    "transfer": "owner",
    "voicemail": "voicemail",
    "recording": "voicemail",
    "transcription": "voicemail",
}
_KINDS: Final[dict[str, StepKind]] = {kind: kind for kind in get_args(StepKind)}
_TEXT: Final = re.compile(rf"({'|'.join(_KINDS)})(?:-([0-9]{{1,4}}))?")
# Legs are counted from 1. A ladder has far fewer than 50, and a call far fewer transfers.
_LEGS_BEFORE_TRANSFERS: Final = 50
_LEGS_BEFORE_RECOVERY: Final = 100


@dataclass(frozen=True, slots=True)
class Step:
    """`leg`: how many legs were placed by then; 0 for a step without a leg."""

    kind: StepKind
    leg: int = 0

    def __str__(self) -> str:
        return f"{self.kind}-{self.leg}" if self.leg else self.kind

    @classmethod
    def parse(cls, text: str) -> Step:
        """Raises ValueError."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"no step: {text[:32]!r}")
        return cls(_KINDS[found[1]], int(found[2] or 0))

    @property
    def rung(self) -> RungKind | None:
        """The rung whose document leads here."""
        return _RUNGS.get(self.kind)

    @property
    def is_on_owners_leg(self) -> bool:
        """On that leg, CallSid is the leg's own, and an empty document connects the caller."""
        return self.kind in ("screen", "accept")

    def of_leg(self, kind: StepKind) -> Step:
        """Another step of the same leg."""
        return Step(kind, self.leg)

    def after(self, kind: RungKind) -> Step:
        """The step that follows the next rung's leg."""
        return Step(kind, self.leg + 1)

    def after_transfer(self, attempt: int) -> Step:
        """The step that follows a transfer to a person."""
        return Step("owner", self.leg + _LEGS_BEFORE_TRANSFERS + attempt)


INBOUND: Final = Step("inbound")
SAID: Final = Step("provider")
END: Final = Step("end")
LOST: Final = Step("inbound", _LEGS_BEFORE_RECOVERY)  # of a call whose state is lost

StepText: TypeAlias = Annotated[
    Step, BeforeValidator(lambda said: Step.parse(said) if isinstance(said, str) else said), PlainSerializer(str)
]
"""A step as it is stored in a sealed state."""
