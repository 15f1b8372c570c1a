"""docs/reliability.md, from the results of all cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from adapters.registry import PROVIDERS
from tests.matrix.cells import BLAND_MODES, CIRCUITS, DATABASES, FAULTS, LADDER, POSITIONS

_LABELS: Final = {one.name: one.label for one in PROVIDERS}
_HEAD: Final = """# Reliability

What a caller gets when a voice provider fails. `make matrix` measures it and writes this page: it places {count} calls
over real HTTP, through a simulated carrier that executes our answers.

The client's providers are {providers}, in this order. When no AI takes the call, the owner's phone rings.
Bland takes its calls by {modes}.
Each fault is tried at the first provider, at the second and at all of them; each time with the failing providers'
circuit breaker {circuits}, and with the database {databases}. These make
no difference to the caller unless the table says so.

| What goes wrong | Calls | The first provider fails | The second provider fails | All providers fail |
| --- | --- | --- | --- | --- |
"""
_FOOT: Final = """
In every one of these calls the router

- answered each of the carrier's requests with a document that the carrier executes, within the answer deadline;
- asked no provider twice, and did not ask a provider whose circuit was open;
- recorded the call and its outcome, after the outage if the database was away;
- left no provider key in a log line, in a document for the carrier or in a row of the database.
"""
_KINDS: Final[dict[str, Sequence[str]]] = {
    "The provider cannot be reached": ("DNS fails", "refused", "SYN lost", "TLS fails"),
    "It is too slow, or breaks off": ("slow headers", "slow body", "reset mid-body"),
    "It refuses the key or the account": ("401", "402", "403"),
    "It refuses the call": ("404", "409"),
    "It has no capacity, or fails": ("408", "429", "429 with Retry-After", "500", "502", "503"),
    "Its reply cannot be used": ("HTML with 200", "empty TwiML", "huge body", "gzip bomb"),
}
_GENITIVE: Final = ("'s", "'")
_TAKERS: Final = {
    **{f"AI ({name})": f"{label}{_GENITIVE[label.endswith('s')]} AI answers" for name, label in _LABELS.items()},
    "owner": "The owner's phone rings",
    "voicemail": "The caller leaves a message",
}


def describe(results: Sequence[dict[str, str]]) -> str:
    """The page. `results`: the cells, each with who answered the call."""
    unknown = {result["fault"] for result in results} ^ {fault for faults in _KINDS.values() for fault in faults}
    if unknown:
        raise ValueError(f"not on the page, or not measured: {', '.join(sorted(unknown))}")
    rows = [_row(kind, [result for result in results if result["fault"] in faults]) for kind, faults in _KINDS.items()]
    head = _HEAD.format(
        count=len(results),
        providers=_listed([_LABELS[name] for name in LADDER], "and"),
        modes=_listed(BLAND_MODES),
        circuits=_listed(CIRCUITS),
        databases=_listed(DATABASES),
    )
    return head + "\n".join(rows) + "\n" + _FOOT


def _row(kind: str, results: Sequence[dict[str, str]]) -> str:
    faults = ", ".join(fault for fault in FAULTS if fault in _KINDS[kind])
    takers = [_takers([each for each in results if each["position"] == position]) for position in POSITIONS]
    return f"| **{kind}**: {faults} | {len(results)} | {' | '.join(takers)} |"


def _takers(results: Sequence[dict[str, str]]) -> str:
    """Who answered; if not the same in all cells, in how many of them, and in which the fewest did."""
    counts = Counter(result["answered_by"] for result in results)
    if len(counts) == 1:
        return _TAKERS.get(*counts, *counts)
    return "; ".join(
        f"{_TAKERS.get(taker, taker)} ({count} of {len(results)}"
        + ("" if number == 0 else f": {_cells(each for each in results if each['answered_by'] == taker)}")
        + ")"
        for number, (taker, count) in enumerate(counts.most_common())
    )


def _cells(results: Iterable[dict[str, str]]) -> str:
    return ", ".join(
        f"{each['fault']} with circuit {each['circuit']}, database {each['database']} and Bland by {each['bland']}"
        for each in results
    )


def _listed(values: Sequence[str], word: str = "or") -> str:
    return f"{', '.join(values[:-1])} {word} {values[-1]}"
