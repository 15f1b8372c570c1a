"""Requests with fresh keys against a server elsewhere; then this process says so and waits to be searched.

Run as a script: memory.py URL. The keys begin with MARK, so that whoever searches need not know them.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from contextlib import suppress

from adapters.base import ProviderError
from adapters.http import Http
from adapters.requests import Auth
from crypto.secret import Secret

MARK = "KQ7X"
PATHS = ("/json", "/json", "/refused", "/broken", "/silent", "/json")


async def ask(http: Http, url: str) -> None:
    key = Secret(MARK + secrets.token_hex(20))
    with suppress(ProviderError):
        await http.send("system", "POST", url, auth=Auth(key, "bearer"), json={"a": 1}, limit=0.3)


async def main(url: str) -> None:
    http = Http()
    for path in PATHS:
        await ask(http, url + path)
    print("done", flush=True)  # noqa: T201 - this is how the test is told
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
