"""Calls that a document of ours redirected to a provider's server, whose documents the carrier executes from then on.

The carrier asks us again only if that server fails, at the number's fallback address, and names the address that failed.
That address holds a secret: here it is compared, and kept nowhere.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from crypto import Secret
from router import twiml
from router.calls.state import Answer

_STANDARD_PORTS: Final = {"https": 443, "http": 80}


def is_same_address(answer: Answer, url: Secret) -> bool:
    """Whether the answer's document redirects to that address, however that is escaped. The fragment does not count:
    there stands what we ask of the carrier.
    """
    ours = twiml.find_redirect(answer.document)
    return ours is not None and bool(plain := _plain(url)) and plain == _plain(ours)


def _plain(url: Secret) -> Secret:
    """Empty for what is no address."""
    try:
        parts = urlsplit(url.reveal())
        port = parts.port or _STANDARD_PORTS[parts.scheme]
        query = urlencode(parse_qsl(parts.query, keep_blank_values=True))
    except (ValueError, KeyError):
        return Secret("")
    return Secret(f"{parts.scheme}://{parts.hostname}:{port}{parts.path or '/'}?{query}")
