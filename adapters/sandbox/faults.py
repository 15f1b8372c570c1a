"""What can go wrong at a provider, on demand: which faults exist, which are set, and how each is played to a caller."""

from __future__ import annotations

import asyncio
import functools
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from adapters.sandbox.api import Asked, Operation, Refusal, StandIn

STATUSES = ("401", "402", "403", "404", "408", "409", "422", "429", "500", "502", "503")
WORDS = (
    "wallet",  # no money left, in the provider's own words
    "concurrency",  # all lines are busy
    "hang",  # nothing is ever answered
    "slow-body",  # headers and a few bytes, then nothing
    "reset",  # the connection is cut in the middle of the body
    "garbage",  # a success that is not JSON
    "html",  # a success that is a web page
    "empty",  # a success without a body
    "no-twiml",  # a success without the field that matters
    "bad-twiml",  # TwiML of other verbs; elsewhere the field that matters with a value that is unfit
    "doctype-twiml",
    "broken-twiml",
    "insecure-twiml",
    "huge",  # a success of 48 MB
    "gzip-bomb",  # 48 kB that unpack to 48 MB
    "redirect",
    "echo-key",  # a 500 that repeats the caller's key in headers and body
    "late",  # the proper answer, but only after `seconds`
)
NAMES = (*STATUSES, *WORDS)
OPERATIONS = ("handoff", "check", "assistants", "numbers", "all")
HUGE = 48 * 1024 * 1024
_CHUNK = 256 * 1024
_JSON = "application/json"
_GARBAGE = '{"id": "0b9d", "status": <<<'
_PAGE = "<!doctype html><title>Just a moment</title><p>Checking your browser"


class FaultError(ValueError):
    """An unknown or invalid fault; the text lists what is valid."""


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong. `operation` None: handing off calls and checking keys, nothing else."""

    name: str
    operation: str | None = None
    times: int | None = None  # how often; None: until it is cleared
    retry_after: int | None = None  # seconds, for 429 and 503
    seconds: float = 8.0  # how late `late` is

    def meets(self, operation: Operation) -> bool:
        if self.operation == "all":
            return True
        return operation in ("handoff", "check") if self.operation is None else operation == self.operation


def read_fault(given: object) -> Fault:
    """A fault from "503" or {"fault":"429","retry_after":3,"operation":"handoff","times":1}; raises FaultError."""
    fields: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"fault": given}
    name = str(fields.pop("fault", ""))
    if name not in NAMES:
        raise FaultError(f"no such fault: {name!r}; there are {', '.join(NAMES)}")
    if unknown := sorted(set(fields) - {"operation", "times", "retry_after", "seconds"}):
        raise FaultError(f"fault {name}: unknown field {unknown[0]!r}; known: operation, times, retry_after, seconds")
    if fields.get("operation") not in (None, *OPERATIONS):
        raise FaultError(f"fault {name}: operation {fields['operation']!r} is not one of {', '.join(OPERATIONS)}")
    for field_name in ("times", "retry_after", "seconds"):
        value = fields.get(field_name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            raise FaultError(f"fault {name}: {field_name} must be a number from 0 up, not {value!r}")
    return Fault(name, **{key: value for key, value in fields.items() if value is not None})


class Faults:
    """The faults that are set now, by provider."""

    def __init__(self, providers: tuple[str, ...]) -> None:
        self._set: dict[str, list[Fault]] = {provider: [] for provider in providers}

    def set(self, provider: str, given: object) -> None:
        """Replaces the provider's faults by one or a list of them; None or an empty list clears. Raises FaultError."""
        if provider not in self._set:
            raise FaultError(f"no such provider: {provider!r}; there are {', '.join(self._set)}")
        several = given if isinstance(given, list) else [] if given is None else [given]
        self._set[provider] = [read_fault(one) for one in several]

    def clear(self) -> None:
        for faults in self._set.values():
            faults.clear()

    def take(self, provider: str, operation: Operation) -> Fault | None:
        """The first fault that applies to the operation; a limited one has one use less afterwards."""
        for fault in self._set[provider]:
            if not fault.meets(operation) or fault.times == 0:
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None

    def __iter__(self) -> Iterator[tuple[str, Fault]]:
        return ((provider, fault) for provider, faults in self._set.items() for fault in faults)


@dataclass(frozen=True, slots=True)
class Scene:
    """A request that meets a fault. `answer` gives the proper answer, with all that it brings about."""

    fault: Fault
    api: StandIn
    asked: Asked
    answer: Callable[[], Response]
    stopping: asyncio.Event

    @property
    def success(self) -> int:
        return 201 if self.asked.method == "POST" else 200


def play(scene: Scene) -> Response:
    """The answer to a request under a fault."""
    special = scene.api.words.get(scene.fault.name)
    if special is not None:
        return scene.api.refuse(special)
    return _PLAYS.get(scene.fault.name, _bend)(scene)


def _refuse(scene: Scene) -> Response:
    response = scene.api.refuse(Refusal(int(scene.fault.name)))
    if scene.fault.retry_after is not None:
        response.headers["retry-after"] = str(scene.fault.retry_after)
    return response


def _echo(scene: Scene) -> Response:
    key = scene.api.key_of(scene.asked)
    response = scene.api.refuse(Refusal(500, f"could not authenticate {key}: Authorization={key}"))
    response.headers["x-echo"] = key
    response.headers["www-authenticate"] = f'Bearer realm="{key}"'
    return response


def _bend(scene: Scene) -> Response:
    proper = scene.answer()
    if proper.status_code >= 300:  # noqa: PLR2004  only a success can be bent
        return proper
    if not isinstance(proper, JSONResponse):
        document = scene.api.bend_document(scene.fault.name, bytes(proper.body).decode())
        return Response(document, proper.status_code, media_type=proper.media_type)
    content = json.loads(bytes(proper.body))
    if not isinstance(content, dict):
        return proper
    if scene.fault.name == "no-twiml":
        bent = {name: value for name, value in content.items() if name not in scene.api.vital}
    else:
        bent = scene.api.bend(scene.fault.name, content)
    return JSONResponse(bent, proper.status_code)


def _bomb(scene: Scene) -> Response:
    return Response(_packed(), scene.success, {"content-encoding": "gzip"}, _JSON)


async def _huge_json() -> AsyncIterator[bytes]:
    yield b'{"id": "'
    for _ in range(HUGE // _CHUNK):
        yield b"x" * _CHUNK
        await asyncio.sleep(0)  # lets the server notice that the caller has gone
    yield b'"}'


@functools.cache
def _packed() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)  # 31: with a gzip header
    pieces = [packer.compress(b'{"id": "')]
    pieces += [packer.compress(b"x" * _CHUNK) for _ in range(HUGE // _CHUNK)]
    return b"".join([*pieces, packer.compress(b'"}'), packer.flush()])


class Stall(Response):
    """Sends nothing, or the beginning of an answer, and no more until the caller goes or the sandbox stops."""

    def __init__(
        self, stopping: asyncio.Event, status: int = 200, beginning: bytes = b"", *, cut: bool = False
    ) -> None:
        super().__init__(status_code=status)
        self._stopping = stopping
        self._beginning = beginning
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._beginning:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
            await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": self._beginning, "more_body": True})
        if not self._cut:
            await until_gone(receive, self._stopping)
        hang_up(scope)
        await until_gone(receive)


class Late(Response):
    """A proper answer after a while, unless the caller goes or the sandbox stops before."""

    def __init__(self, proper: Response, seconds: float, stopping: asyncio.Event) -> None:
        super().__init__()
        self._proper = proper
        self._seconds = seconds
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await until_gone(receive, self._stopping, self._seconds):
            hang_up(scope)
            await until_gone(receive)
            return
        await self._proper(scope, receive, send)


async def until_gone(receive: Receive, stopping: asyncio.Event | None = None, seconds: float | None = None) -> bool:
    """Waits until the caller hangs up or the sandbox stops; False if `seconds` pass before that."""
    waits: list[asyncio.Future[object]] = [asyncio.ensure_future(receive())]
    if stopping is not None:
        waits.append(asyncio.ensure_future(stopping.wait()))
    try:
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)


def hang_up(scope: Scope) -> None:
    """Closes the connection once what was sent is out; `server.py` puts the transport into the scope."""
    scope["state"]["transport"].close()


_PLAYS: dict[str, Callable[[Scene], Response]] = {
    **dict.fromkeys(STATUSES, _refuse),
    "hang": lambda scene: Stall(scene.stopping),
    "slow-body": lambda scene: Stall(scene.stopping, scene.success, b'{"id": "'),
    "reset": lambda scene: Stall(scene.stopping, scene.success, b'{"id": "', cut=True),
    "garbage": lambda scene: Response(_GARBAGE, scene.success, media_type=_JSON),
    "html": lambda _: HTMLResponse(_PAGE),
    "empty": lambda scene: Response(status_code=scene.success, media_type=_JSON),
    "huge": lambda scene: StreamingResponse(_huge_json(), scene.success, media_type=_JSON),
    "gzip-bomb": _bomb,
    "redirect": lambda _: RedirectResponse("/control/redirected", 307),
    "echo-key": _echo,
    "late": lambda scene: Late(scene.answer(), scene.fault.seconds, scene.stopping),
}
