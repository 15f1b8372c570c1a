"""The demo's sandbox on disk, so that a restart finds what the database knows of it."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.sandbox.state import Sandbox
from adapters.sandbox.world import DemoWorld
from router.cli.demo.agency import DemoAgency

_FILE: Final = "sandbox.pickle"  # written and read by this command alone, in a folder of its own


@dataclass(frozen=True, slots=True)
class Kept:
    """`router_url`: where the service was served; numbers in the sandbox lead there."""

    sandbox: Sandbox
    world: DemoWorld
    agency: DemoAgency
    router_url: str
    sandbox_port: int


def read_kept(folder: Path, router_url: str) -> Kept | None:
    """None: there is nothing to go on with, or it was served elsewhere, or by another version."""
    if not (folder / "postgres").is_dir():
        return None
    try:
        kept = pickle.loads((folder / _FILE).read_bytes())  # noqa: S301 - our own file, readable by its owner alone
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the demo starts over
        return None
    return kept if isinstance(kept, Kept) and kept.router_url == router_url else None


def keep(folder: Path, kept: Kept) -> None:
    """As a whole or not at all."""
    draft = folder / f".{_FILE}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        pickle.dump(kept, file)
    draft.replace(folder / _FILE)
