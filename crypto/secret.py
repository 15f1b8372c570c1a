"""A value that cannot be printed by accident.

Not a vault: `reveal` gives the plain text. The point is that every *other* way in which a value leaks (a log line, a
traceback, an f-string, a pickle, a dataclass's repr) yields nothing.
"""

from __future__ import annotations

import hmac
from typing import Any, NoReturn

_MASK = "Secret(…)"
_LONG = 12  # characters: four of so many reveal little


class Secret:
    """An opened key or token, to be revealed at the one place that sends it and dropped right after."""

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """The plain text. Keep no reference to what this returns."""
        return self._value

    def last4(self) -> str:
        """The last four characters, fit to be shown to the key's owner; shorter for a short value."""
        return self._value[-4:] if len(self._value) >= _LONG else self._value[-1:]

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # An encoding error would carry the value.
        return hmac.compare_digest(
            self._value.encode(errors="surrogatepass"), other._value.encode(errors="surrogatepass")
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return _MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return _MASK

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret does not change")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")

    def __dir__(self) -> list[str]:
        return ["last4", "reveal"]
