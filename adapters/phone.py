"""Phone numbers in E.164 form: a plus sign, then country code and number without a leading zero.

ITU-T E.164 sets the upper bound of 15 digits; the lower one, 7, keeps out short codes, which cannot be called from
abroad.
"""

from __future__ import annotations

import re
from typing import Final, TypeGuard

E164: Final = r"\+[1-9][0-9]{6,14}"
"""The pattern without anchors, for longer patterns and schemas."""

_E164: Final = re.compile(E164)


def is_e164(text: object) -> TypeGuard[str]:
    """Whether it is one phone number and nothing else."""
    return isinstance(text, str) and _E164.fullmatch(text) is not None
