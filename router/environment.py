"""Text as it is found in environment variables and secret files, and what is meant by it.

Env files, shells and editors leave spaces, quotes, line ends and byte order marks around a value or a name, depending on
which program reads the file. What is around a value is removed; what does not belong inside it is refused, in words that
don't repeat it: it may be a secret.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from typing import Final

_PAIRS: Final = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "‘": "’", "«": "»"}
_MARKS: Final = frozenset(_PAIRS) | frozenset(_PAIRS.values())
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})  # Unicode categories: control, format, line, paragraph


def clean(text: str, *, may_be_quoted_inside: bool = False, may_have_lines: bool = False) -> str:
    """The value that is meant; empty if there is none. Raises ValueError with what is wrong, without the value."""
    value = _peel(text)
    if not may_be_quoted_inside and value and (value[0] in _MARKS or value[-1] in _MARKS):
        raise ValueError("has a quotation mark at one end only: remove it")
    for char in value:
        category = unicodedata.category(char)
        if category == "Cs":
            raise ValueError("is not UTF-8 text")
        if category in _INVISIBLE and not (may_have_lines and char in "\r\n\t"):
            raise ValueError("must not contain a line break or an invisible character")
    return value


def find_stray_names(env: Iterable[str], known: Collection[str]) -> list[str]:
    """Names that were meant to be of `known`, but have spaces, a byte order mark or `export` in front of them."""
    stray = {_peel(_peel(name).removeprefix("export ")) for name in env if name not in known}
    return sorted(stray & set(known))


def _peel(text: str) -> str:
    """Without the white space, invisible characters and pairs of quotes around it."""
    start, end = 0, len(text)
    while start < end:
        if _is_blank(text[start]):
            start += 1
        elif _is_blank(text[end - 1]):
            end -= 1
        elif end - start > 1 and _PAIRS.get(text[start]) == text[end - 1]:
            start, end = start + 1, end - 1
        else:
            break
    return text[start:end]


def _is_blank(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) == "Cf"
