"""What the bare ASGI applications here share."""

from __future__ import annotations

import os
from typing import Any

import uvicorn


async def read_body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def reply(send: Any, body: bytes, media_type: bytes, status: int = 200) -> None:
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(app: Any) -> None:
    """On the port of BENCH_PORT, until told to stop."""
    config = uvicorn.Config(app, port=int(os.environ["BENCH_PORT"]), lifespan="off", log_config=None, access_log=False)
    uvicorn.Server(config).run()
