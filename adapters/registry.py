"""The list of providers, one line each. It stands nowhere else."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from adapters import twilio
from adapters.bland import BLAND
from adapters.elevenlabs import ELEVENLABS
from adapters.features import About
from adapters.http import Http
from adapters.provider import Declaration, Provider, Setting
from adapters.retell import RETELL
from adapters.vapi import VAPI

Declarations: TypeAlias = tuple[Declaration[Any], ...]

PROVIDERS: Final[Declarations] = (
    VAPI,
    RETELL,
    BLAND,
    ELEVENLABS,
)
"""In the order in which they stand in for each other."""


def settings_of(declarations: Declarations) -> dict[str, Setting]:
    """All their settings, by full name: "url" of vapi is "vapi_url"."""
    return {f"{one.name}_{setting.name}": setting for one in declarations for setting in one.settings}


def one_of(declarations: Declarations) -> str:
    """Their labels, for a sentence: "Vapi, Retell or Bland"; empty without any."""
    *others, last = [one.label for one in declarations] or [""]
    return f"{', '.join(others)} or {last}" if others else last


class Providers(UserDict[str, Provider[Any]]):
    """The connected providers, by name and in their order. `values` are by the names of `settings_of`."""

    def __init__(self, declarations: Declarations, http: Http, values: Mapping[str, str]) -> None:
        super().__init__()
        self.declarations: Final = declarations
        for one in declarations:
            own = {setting.name: values[f"{one.name}_{setting.name}"] for setting in one.settings}
            self[one.name] = one.connect(http, own)

    def about(self, kind: str) -> About:
        """What people are told about the provider or carrier that keys of this kind are for."""
        if kind in self:
            return self[kind].about
        return (
            twilio.ABOUT if kind == twilio.NAME else About(kind.title(), "It is in the provider's dashboard.", "", "")
        )

    def label(self, kind: str) -> str:
        return self.about(kind).label
