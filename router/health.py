"""The probes (live, ready) and the metrics.

Ready means that a call would be answered. A router that has lost its database but remembers routes is still ready: it
answers 200 and `degraded`, because taking it out of service would lose the calls that it can place.

The database is asked as a call asks it: by the claim's own statement, over a connection for calls, past the guard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sized
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from router.clock import utc_now
from router.own_address import SETTING, WHAT_TO_DO, WHAT_WAITS, OwnAddress
from router.store.calls.calls import can_claim_calls
from router.store.guard import Guard
from router.store.pool import Database
from router.telemetry import metrics

_CHECK_SECONDS: Final = 1.0  # a slower database does not help a caller either
_FRESH_SECONDS: Final = 1.0  # all requests together ask the database and add up the metrics at most once a second
_NO_STORE: Final = {"Cache-Control": "no-store"}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `detail` is public: no addresses, no names."""

    ok: bool
    detail: str


class ServiceHealth:
    """The state of the process that the probes report. Commands and the service set it."""

    def __init__(self) -> None:
        self.starting = True
        self.draining = False
        self._database: Database | None = None
        self._guard: Guard | None = None
        self._memory: Sized = ()
        self._address: OwnAddress | None = None

    def watch(self, database: Database, guard: Guard, memory: Sized, address: OwnAddress | None) -> None:
        """Ask these from now on."""
        self._database, self._guard, self._memory, self._address = database, guard, memory, address

    @property
    def database_away(self) -> bool:
        """Whether calls do not ask the database at the moment."""
        return self._guard is not None and self._guard.away

    async def database(self) -> Check:
        """Ask for a call to a number that nobody has, which writes nothing. If it raises or hangs, the database counts as
        lost.
        """
        if self._database is None or self._guard is None:
            return Check(ok=False, detail="not connected yet")
        pool = self._database.calls
        await self._guard.ask(lambda: can_claim_calls(pool, utc_now()))
        return Check(ok=True, detail="answers")

    def public_address(self) -> Check:
        """Whether our public address is the database's."""
        if self._address is None or self._address.differing is None:
            return Check(ok=True, detail="as in the database")
        return Check(ok=False, detail=f"{SETTING} is not the address in the database. {WHAT_WAITS}: {WHAT_TO_DO}")

    def remembered_routes(self) -> int:
        """How many numbers could be answered without a database."""
        return len(self._memory)


def health_routes(state: ServiceHealth, clock: Callable[[], float] = time.monotonic) -> list[Route]:
    """/livez, /healthz, /readyz and /metrics. `clock` counts seconds."""
    database = _Latest(lambda: _check_database(state), clock)

    async def ready(_request: Request) -> Response:
        found = await database.get()
        if state.database_away:  # since the last check
            found = Check(ok=False, detail="away")
        status, checks = _judge(state, found)
        code = 503 if status == "unavailable" else 200
        return JSONResponse({"status": status, "checks": checks}, status_code=code, headers=_NO_STORE)

    return [Route("/livez", _live), Route("/healthz", _live), Route("/readyz", ready), _metrics_route(clock)]


def fallback_health_routes(state: ServiceHealth) -> list[Route]:
    """The same for a process that serves the static fallback alone. It needs nothing else, so it is ready unless it drains.

    Its /livez answers differently: `callrouter doctor` has to notice a public address that leads here.
    """

    async def ready(_request: Request) -> Response:
        service = Check(ok=not state.draining, detail="draining" if state.draining else "serving")
        status = "ok" if service.ok else "unavailable"
        body = {"status": status, "checks": {"service": _describe(service)}}
        return JSONResponse(body, status_code=200 if service.ok else 503, headers=_NO_STORE)

    async def live(_request: Request) -> Response:
        return PlainTextResponse("alive\n", headers=_NO_STORE)

    return [Route("/livez", live), Route("/healthz", live), Route("/readyz", ready), _metrics_route(time.monotonic)]


def _metrics_route(clock: Callable[[], float]) -> Route:
    # In a thread, because it may read the files of many workers.
    page = _Latest(lambda: asyncio.to_thread(metrics.render), clock)

    async def show(_request: Request) -> Response:
        body, content_type = await page.get()
        return Response(body, headers={"Content-Type": content_type, **_NO_STORE})

    return Route("/metrics", show)


async def _live(_request: Request) -> Response:
    return JSONResponse({"status": "ok"}, headers=_NO_STORE)


def _judge(state: ServiceHealth, database: Check) -> tuple[str, dict[str, dict[str, str]]]:
    phase = "starting" if state.starting else "draining" if state.draining else "serving"
    remembered, address = state.remembered_routes(), state.public_address()
    checks = {
        "service": _describe(Check(phase == "serving", phase)),
        "database": _describe(database),
        "remembered_routes": _describe(Check(remembered > 0 or database.ok, str(remembered))),
        "public_address": _describe(address),
    }
    if phase != "serving":
        return "unavailable", checks
    if database.ok:
        return "ok" if address.ok else "degraded", checks
    return "degraded" if remembered else "unavailable", checks


def _describe(check: Check) -> dict[str, str]:
    return {"status": "ok" if check.ok else "unavailable", "detail": check.detail}


async def _check_database(state: ServiceHealth) -> Check:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await state.database()
    except TimeoutError:
        return Check(ok=False, detail="no answer in time")
    except Exception as error:  # noqa: BLE001 - reported in the probe's answer; the error's text could hold an address
        return Check(ok=False, detail=type(error).__name__)


@dataclass(slots=True)
class _Latest(Generic[_T]):
    """A value that is at most a second old. Concurrent requests share one computation."""

    compute: Callable[[], Awaitable[_T]]
    clock: Callable[[], float]
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _computed: tuple[float, _T] | None = None  # and when the computation began

    async def get(self) -> _T:
        asked = self.clock()
        async with self._one_at_a_time:
            if self._computed is None or asked - self._computed[0] >= _FRESH_SECONDS:
                begun = self.clock()
                self._computed = (begun, await self.compute())
            return self._computed[1]
