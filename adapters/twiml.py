"""The TwiML with which a provider takes a call, read so that nothing in it can surprise the carrier that executes it."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from adapters.base import SipHandoff, StreamHandoff
from adapters.replies import is_sip_address

_ATTRIBUTE: Final = re.compile(r"[A-Za-z]{1,40}")
_MAX_TWIML: Final = 64_000


def read_twiml(twiml: Any) -> StreamHandoff | SipHandoff | None:
    """The one handoff in the document: Connect/Stream or Dial/Sip. None for every other document.

    A DOCTYPE is refused before anything is parsed: without one, XML has no entities that could grow or read files.
    """
    if not isinstance(twiml, str) or len(twiml) > _MAX_TWIML or "<!DOCTYPE" in twiml:
        return None
    try:
        root = ET.fromstring(twiml.strip())  # noqa: S314 - see above
    except (ET.ParseError, ValueError):
        return None
    verb = _only_child(root) if root.tag == "Response" else None
    noun = _only_child(verb) if verb is not None else None
    if verb is None or noun is None:
        return None
    match verb.tag, noun.tag:
        case "Connect", "Stream":
            return _stream(noun)
        case "Dial", "Sip":
            return _sip(noun)
    return None


def _stream(stream: ET.Element) -> StreamHandoff | None:
    if not _is_stream_url(stream.get("url", "")) or any(child.tag != "Parameter" for child in stream):
        return None
    # Twilio knows no namespaced attributes, and they would not survive being written again.
    if not all(_ATTRIBUTE.fullmatch(name) for element in stream.iter() for name in element.attrib):
        return None
    return StreamHandoff(
        attributes=tuple(stream.attrib.items()),
        parameters=tuple(tuple(parameter.attrib.items()) for parameter in stream),
    )


def _sip(sip: ET.Element) -> SipHandoff | None:
    uri = (sip.text or "").strip()
    if len(sip) or not is_sip_address(uri):
        return None
    return SipHandoff(uri, sip.get("username"), sip.get("password"))


def _is_stream_url(url: str) -> bool:
    """An absolute wss address and nothing else: a Stream takes no query (Twilio docs: TwiML Stream)."""
    if not url.startswith("wss://") or not url.isascii() or not url.isprintable() or set(url) & set(' "<>\\^`{|}?#@'):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port or IPv6 address
        return False


def _only_child(element: ET.Element) -> ET.Element | None:
    return element[0] if len(element) == 1 else None
