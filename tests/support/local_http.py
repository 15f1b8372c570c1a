"""HTTP clients for servers on loopback. They load no certificates, which takes longer than most tests' requests."""

from __future__ import annotations

from typing import Any

import httpx


def local_client(**options: Any) -> httpx.AsyncClient:
    """With httpx's own options."""
    return httpx.AsyncClient(trust_env=False, verify=False, **options)  # noqa: S501  (loopback has no certificates)
