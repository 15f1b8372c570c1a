"""What a provider offers, read from the `features.toml` of its package: for pages, API and docs.

What an adapter really loses is in its `lost_features`; a test compares the two.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
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
_MORE_TEXTS: Final = ("top_up", "key_page")  # may be left out


@dataclass(frozen=True, slots=True)
class About:
    """What people read about a provider or carrier before they save a key for it."""

    label: str
    find_key: str  # where they find their key
    costs: str
    good_for: str
    top_up: str = ""  # the page on which they add credit
    key_page: str = ""  # the page with their keys


@dataclass(frozen=True, slots=True)
class Offer:
    """What one provider offers. `notes` explain single features; every feature that is "partly" has one."""

    about: About
    features: Mapping[str, Support]  # all of FEATURES
    notes: Mapping[str, str]


def offer_of(package: str) -> Offer:
    """The offer in a package's `features.toml`. Raises ValueError as `read_offer` does."""
    return read_offer(files(package).joinpath("features.toml").read_text("utf-8"))


def read_offer(written: str) -> Offer:
    """Raises ValueError for bad TOML, and naming the field, for one that is missing, unknown or unfit."""
    table = tomllib.loads(written)
    if odd := sorted((set(table) - {"notes", *_MORE_TEXTS}) ^ {*_TEXTS, "features"}):
        raise ValueError(f"{odd[0]} is missing or unknown")
    texts = {field: table[field] for field in (*_TEXTS, *_MORE_TEXTS) if field in table}
    for field, text in texts.items():
        if not isinstance(text, str) or not text:
            raise ValueError(f"{field} must be a text")
    features, notes = _features(table["features"]), _notes(table.get("notes", {}))
    for feature, support in features.items():
        if support == "partly" and feature not in notes:
            raise ValueError(f"notes.{feature} must say what partly means")
    return Offer(About(**texts), features, notes)


def _features(given: Any) -> Mapping[str, Support]:
    if not isinstance(given, dict) or (odd := sorted(set(given) ^ set(FEATURES))):
        raise ValueError(f"features must name each of {', '.join(FEATURES)}; look at {', '.join(odd)}")
    for feature, support in given.items():
        if support not in get_args(Support):
            raise ValueError(f"features.{feature} must be yes, partly or no")
    return MappingProxyType({feature: given[feature] for feature in FEATURES})


def _notes(given: Any) -> Mapping[str, str]:
    for feature, note in given.items():
        if feature not in FEATURES or not isinstance(note, str):
            raise ValueError(f"notes.{feature} must be a text about a feature")
    return MappingProxyType(dict(given))
