"""What the doctor found, in the words of the person who has to fix it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

from rich.console import Console

Level: TypeAlias = Literal["fine", "hint", "problem"]

_MARKS: dict[Level, tuple[str, str]] = {"fine": ("✓", "green"), "hint": ("•", "yellow"), "problem": ("✗", "bold red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `mend` says how to fix a hint or a problem."""

    level: Level
    subject: str
    message: str
    mend: str = ""


fine = partial(Finding, "fine")
hint = partial(Finding, "hint")
problem = partial(Finding, "problem")


def as_json(findings: Iterable[Finding]) -> dict[str, Any]:
    return {"findings": [asdict(finding) for finding in findings]}


def show(findings: Iterable[Finding], console: Console) -> None:
    for finding in findings:
        mark, style = _MARKS[finding.level]
        console.print(f"[{style}]{mark}[/] ", end="")
        console.print(f"{finding.subject}: {finding.message}", markup=False)
        if finding.mend:
            console.print(f"  → {finding.mend}", markup=False)
