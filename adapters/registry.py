"""The providers that there are, one line each: the only place that lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from adapters import twilio
from adapters.bland import BLAND
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
)
"""In the order in which they stand in for each other."""


def settings_of(declarations: Declarations) -> dict[str, Setting]:
    """All that they declare, by the names that they have among all settings."""
    return {f"{one.name}_{setting.name}": setting for one in declarations for setting in one.settings}


def one_of(declarations: Declarations) -> str:
    """Their labels, for a sentence: "Vapi, Retell or Bland"; empty without any."""
    *others, last = [one.label for one in declarations] or [""]
    return f"{', '.join(others)} or {last}" if others else last


class Providers(Mapping[str, Provider[Any]]):
    """The providers as they can be asked, by name and in their order. `values` are by the names of `settings_of`."""

    def __init__(self, declarations: Declarations, http: Http, values: Mapping[str, str]) -> None:
        self.declarations: Final = declarations
        self._by_name = {
            one.name: one.connect(
                http, {setting.name: values[f"{one.name}_{setting.name}"] for setting in one.settings}
            )
            for one in declarations
        }

    def __getitem__(self, name: str) -> Provider[Any]:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def about(self, kind: str) -> About:
        """What people are told of whoever a key of this kind is for: a provider, or the carrier."""
        if kind in self._by_name:
            return self._by_name[kind].about
        return (
            twilio.ABOUT if kind == twilio.NAME else About(kind.title(), "It is in the provider's dashboard.", "", "")
        )

    def label(self, kind: str) -> str:
        return self.about(kind).label
