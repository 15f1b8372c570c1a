"""Where requests come from: the client's address behind the operator's proxies, and how many wrong tokens it sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

_HEADER: Final = b"x-forwarded-for"
_MOST_HOPS: Final = 32
_SHARED_PREFIX: Final = 64  # one household, office or server has a whole /64 of IPv6 addresses
_WINDOW: Final = timedelta(minutes=1)
_OF_ADDRESS: Final = 10
_OF_ALL: Final = 300
_MOST_NAMED: Final = 100


class Proxies:
    """Finds the client's address. Only proxies in `trusted` are believed about whom a request came from."""

    def __init__(self, trusted: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def find_address(self, scope: Mapping[str, Any]) -> str | None:
        """The last address that is not one of our proxies. None if the connection has no address."""
        client = scope.get("client")
        address = _parse(client[0]) if client else None
        if address is None:
            return client[0] if client else None
        for hop in self._hops(scope) if self._trusts(address) else ():
            named = _parse(hop)
            if named is None:
                break
            address = named
            if not self._trusts(address):
                break
        return str(address)

    def _hops(self, scope: Mapping[str, Any]) -> list[str]:
        """What X-Forwarded-For names, from the nearest on."""
        lines = [value for name, value in scope["headers"] if name.lower() == _HEADER]
        return b",".join(lines).decode("latin-1").rsplit(",", _MOST_HOPS)[::-1][:_MOST_HOPS]

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


class WrongTokens:
    """Counts them over a minute, for each client address and in all, in this process."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._since = datetime.min.replace(tzinfo=clock().tzinfo)
        self._recent: Counter[str] = Counter()
        self._uncounted: Counter[str | None] = Counter()

    def admit(self, address: str | None, door: str = "") -> bool:
        """Count one more. Whether there were few enough until now, from this address at this door and in all."""
        now = self._clock()
        if now >= self._since + _WINDOW:
            self._since = now
            self._recent.clear()
        group = group_of(address)
        place = f"{group} {door}"
        named = group in self._uncounted or len(self._uncounted) < _MOST_NAMED
        self._uncounted[group if named else None] += 1
        if self._recent.total() >= _OF_ALL or self._recent[place] >= _OF_ADDRESS:
            return False
        self._recent[place] += 1
        return True

    def seconds_to_wait(self) -> int:
        """Until the count begins again."""
        return max(1, round((self._since + _WINDOW - self._clock()).total_seconds()))

    def take_counts(self) -> dict[str | None, int]:
        """How many came from where since the last time. None: from more places than are told apart."""
        taken, self._uncounted = dict(self._uncounted), Counter()
        return taken


def group_of(address: str | None) -> str:
    """The addresses that are counted together with this one: for IPv6 its /64."""
    parsed = _parse(address or "")
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), _SHARED_PREFIX), strict=False))
    return str(parsed or address or "unknown")


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: also in brackets, with a port, or an IPv4 address within IPv6."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
