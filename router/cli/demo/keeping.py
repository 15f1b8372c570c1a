"""The demo's sandbox on disk, so that a restart finds what the database knows of it."""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.sandbox.state import Sandbox
from adapters.sandbox.world import DemoWorld
from router.cli.demo.agency import DemoAgency
from router.store import migrations

_FILE: Final = "sandbox.pickle"  # written and read by this command alone, in a folder of its own


def _fingerprint() -> str:
    """Of the tables as this version makes them: until the first release they change without a migration."""
    files = sorted(Path(migrations.__file__).parent.rglob("*.sql"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@dataclass(frozen=True, slots=True)
class Kept:
    """`router_url`: where the service was served; numbers in the sandbox lead there. `tables`: those of the database."""

    sandbox: Sandbox
    world: DemoWorld
    agency: DemoAgency
    router_url: str
    sandbox_port: int
    tables: str = field(default_factory=_fingerprint)


def read_kept(folder: Path, router_url: str) -> Kept | None:
    """None: there is nothing to go on with, or it was served elsewhere, or by another version."""
    if not (folder / "postgres").is_dir():
        return None
    try:
        kept = pickle.loads((folder / _FILE).read_bytes())  # noqa: S301 - our own file, readable by its owner alone
        fits = (kept.router_url, kept.tables) == (router_url, _fingerprint())
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the demo starts over
        return None
    return kept if isinstance(kept, Kept) and fits else None


def keep(folder: Path, kept: Kept) -> None:
    """As a whole or not at all."""
    draft = folder / f".{_FILE}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        pickle.dump(kept, file)
    draft.replace(folder / _FILE)
