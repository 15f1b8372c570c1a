"""What each voice provider offers, read from `features.toml`: the one place that says it, for pages, API and docs.

Not here: what an adapter makes of a definition. Each has its own `lost_features`, and a test holds it against the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args

Support: TypeAlias = Literal["yes", "partly", "no"]

ASSISTANT_FEATURES: Final = (
    "greeting",
    "voice",
    "languages",
    "timezone",
    "functions",
    "knowledge",
    "transfer",
    "voicemail_detection",
    "max_seconds",
)
"""What a portable assistant may ask for beyond its prompt, in the order in which people want to read it."""

FEATURES: Final = (*ASSISTANT_FEATURES, "numbers")
_TEXTS: Final = ("label", "find_key", "costs", "good_for")


@dataclass(frozen=True, slots=True)
class Offer:
    """What one provider offers. `notes` explain single features; every feature that is "partly" has one."""

    name: str
    label: str
    find_key: str  # where people find their key
    costs: str
    good_for: str
    features: Mapping[str, Support]  # all of FEATURES
    notes: Mapping[str, str]
    sells_in: tuple[str, ...]  # ISO 3166-1 alpha-2


@cache
def all_offers() -> Mapping[str, Offer]:
    """By the provider's name, in the file's order. Read once."""
    return read_offers(files("adapters").joinpath("features.toml").read_text("utf-8"))


def read_offers(written: str) -> Mapping[str, Offer]:
    """Raises ValueError that names the provider and field: for bad TOML, and for what is missing, unknown or unfit."""
    return MappingProxyType({name: _read_offer(name, table) for name, table in tomllib.loads(written).items()})


def _read_offer(name: str, table: Any) -> Offer:
    if not isinstance(table, dict):
        raise ValueError(f"{name} must be a table")  # noqa: TRY004 - one kind of error for whoever edits the file
    if odd := sorted((set(table) - {"notes"}) ^ {*_TEXTS, "features", "sells_in"}):
        raise ValueError(f"{name}.{odd[0]} is missing or unknown")
    texts = {field: table[field] for field in _TEXTS}
    for field, text in texts.items():
        if not isinstance(text, str) or not text:
            raise ValueError(f"{name}.{field} must be a text")
    features, notes = _features(name, table["features"]), _notes(name, table.get("notes", {}))
    for feature, support in features.items():
        if support == "partly" and feature not in notes:
            raise ValueError(f"{name}.notes.{feature} must say what partly means")
    return Offer(name, **texts, features=features, notes=notes, sells_in=_countries(name, table["sells_in"]))


def _features(name: str, given: Any) -> Mapping[str, Support]:
    if not isinstance(given, dict) or (odd := sorted(set(given) ^ set(FEATURES))):
        raise ValueError(f"{name}.features must name each of {', '.join(FEATURES)}; look at {', '.join(odd)}")
    for feature, support in given.items():
        if support not in get_args(Support):
            raise ValueError(f"{name}.features.{feature} must be yes, partly or no")
    return MappingProxyType({feature: given[feature] for feature in FEATURES})


def _notes(name: str, given: Any) -> Mapping[str, str]:
    for feature, note in given.items():
        if feature not in FEATURES or not isinstance(note, str):
            raise ValueError(f"{name}.notes.{feature} must be a text about a feature")
    return MappingProxyType(dict(given))


def _countries(name: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(code, str) and len(code) == len("US") for code in given):
        raise ValueError(f"{name}.sells_in must be a list of two-letter country codes")
    return tuple(given)
