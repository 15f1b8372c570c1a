"""The address that Bland's import writes on a carrier's number. Whoever knows it can use the carrier account at Bland.

Bland docs: Custom Twilio says that the import changes the number's webhook; what the address looks like was seen in use.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from crypto.secret import Secret

_DOMAIN: Final = "bland.ai"
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,2000}")


def is_import_address(given: Secret) -> bool:
    """Whether Bland's import wrote it: a https address of Bland's with the account's encrypted key."""
    if not _PRINTABLE.fullmatch(given.reveal()):
        return False
    try:
        parts = urlsplit(given.reveal())
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    at_bland = host == _DOMAIN or host.endswith(f".{_DOMAIN}")
    names_user = parts.username is not None or parts.password is not None
    return parts.scheme == "https" and at_bland and not names_user and bool(parse_qs(parts.query).get("encrypted_key"))
