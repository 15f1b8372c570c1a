"""Text as it is found in environment variables and secret files, and what is meant by it.

Env files, shells and editors leave spaces, quotes, line ends and byte order marks around a value or a name, depending on
which program reads the file. What is around a value is removed; what does not belong inside it is refused, in words that
don't repeat it: it may be a secret.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import Final

_PAIRS: Final = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "‘": "’", "«": "»"}
_MARKS: Final = frozenset(_PAIRS) | frozenset(_PAIRS.values())
_REFERENCE: Final = re.compile(r"\$\{?\w+\}?|\$\(.*\)|%\w+%|<[^<>@]*>|\{\{.*\}\}", re.DOTALL)  # from end to end
_LINE_END: Final = re.compile(r"\\[nr]\Z")
_COMMENT: Final = re.compile(r"\s#")
_PREFIX: Final = re.compile(r"(?:export|set)\s+")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})  # Unicode categories: control, format, line, paragraph


def clean(text: str, *, may_be_quoted_inside: bool = False, may_have_lines: bool = False) -> str:
    """The value that is meant; empty if there is none. Raises ValueError with what is wrong, without the value."""
    value = _peel(text)
    if not may_be_quoted_inside and value and (value[0] in _MARKS or value[-1] in _MARKS):
        raise ValueError("has a quotation mark at one end only: remove it")
    if _REFERENCE.fullmatch(value):
        raise ValueError("is a placeholder: env files are read as they are, without replacing anything in them")
    if _LINE_END.search(value):
        raise ValueError("ends with a line break that is written as a backslash and a letter: remove it")
    if not may_be_quoted_inside and _COMMENT.search(value):
        raise ValueError("has a comment behind it: in env files, comments need a line of their own")
    for char in value:
        category = unicodedata.category(char)
        if category == "Cs":
            raise ValueError("is not UTF-8 text")
        if category in _INVISIBLE and not (may_have_lines and char in "\r\n\t"):
            raise ValueError("must not contain a line break or an invisible character")
    return value


def find_stray_names(env: Iterable[str], known: Collection[str]) -> list[str]:
    """Those of `known` that were meant by names in lower case, or with spaces, a byte order mark or `export` around them."""
    stray = {_read_name(name) for name in env if name not in known}
    return sorted(stray & set(known))


def _read_name(name: str) -> str:
    """Those in lower case are ours only if they begin as ours do."""
    meant = _peel(_PREFIX.sub("", _peel(name)))
    return meant.upper() if meant.lower().startswith("callrouter_") else meant


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
