"""`docs/providers.md`, written from `features.toml`: python -m adapters.features_page > docs/providers.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from adapters.features import FEATURES, TITLES, Offer, all_offers

_BEGINNING = """# Providers

What each voice provider can do for a client's assistant, and what it costs. Written from `adapters/features.toml`, which
the tests hold the adapters against. What a provider cannot do of an assistant is reported for each client (`lost`).
"""


def write_page(offers: Mapping[str, Offer]) -> str:
    return "\n".join([_BEGINNING, *_matrix(offers), "", *(line for offer in offers.values() for line in _about(offer))])


def _matrix(offers: Mapping[str, Offer]) -> Iterator[str]:
    yield "| | " + " | ".join(offer.label for offer in offers.values()) + " |"
    yield "|---|" + "---|" * len(offers)
    for feature in FEATURES:
        yield f"| {TITLES[feature]} | " + " | ".join(offer.features[feature] for offer in offers.values()) + " |"


def _about(offer: Offer) -> Iterator[str]:
    yield f"## {offer.label}\n"
    yield f"{offer.good_for}\n"
    yield f"- **Costs.** {offer.costs}"
    yield f"- **Where the key is.** {offer.find_key}"
    if offer.sells_in:
        yield f"- **Sells numbers in** {', '.join(offer.sells_in)}."
    yield from (f"- **{TITLES[feature]}.** {offer.notes[feature]}" for feature in FEATURES if feature in offer.notes)
    yield ""


if __name__ == "__main__":
    sys.stdout.write(write_page(all_offers()))
