"""Where TwiML may send a call or a request: URLs, phone numbers, SIP addresses and caller ids.

Each `*_fault` function says what is wrong in a few words, or None.
Sources: Twilio docs: TwiML Dial, Number, Sip, Stream; Error and Warning Dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote, urljoin, urlsplit

from adapters.phone import is_e164

MAX_SIP_URI = 255
MAX_SIP_HEADERS = 1024
_SIP_CALLER = re.compile(r"[A-Za-z0-9+\-_.]+", re.ASCII)
_SIP_URI = re.compile(
    r"sips?:(?P<user>[^@\s;?<>\"]+)@(?P<host>[A-Za-z0-9.\-_]+)(?::(?P<port>[0-9]{1,5}))?(?P<parameters>(?:;[^;?\s]+)*)",
    re.ASCII,
)
_SIP_PARAMETERS = {
    "transport": {"udp", "tcp", "tls"},
    "secure": {"true", "false"},
    "region": None,
    "edge": None,
    "user": {"phone"},
}
_OVERRIDES: dict[str, range | set[str]] = {
    "ct": range(100, 10_001),
    "rt": range(100, 15_001),
    "tt": range(100, 15_001),
    "rc": range(6),
    "rp": {"4xx", "5xx", "ct", "rt", "all"},
    "sni": {"y", "n"},
    "e": {"ashburn", "dublin", "frankfurt", "roaming", "sao-paulo", "singapore", "sydney", "tokyo", "umatilla"},
}
_SIP_HEADERS = {"user-to-user", "remote-party-id", "p-preferred-identity", "p-called-party-id"}


def resolve_url(base: str, reference: str) -> str:
    """The absolute URL of a reference found in the document at `base`; an empty one is the document itself.

    The fragment goes: Twilio takes its connection overrides from there and sends none of it.
    Raises ValueError if what comes out cannot be requested.
    """
    url = urljoin(base, reference.strip()).partition("#")[0]
    if fault := web_url_fault(url):
        raise ValueError(fault)
    return url


def web_url_fault(url: str) -> str | None:
    """What keeps Twilio from requesting an absolute URL."""
    if any(character.isspace() or ord(character) < 32 for character in url):  # noqa: PLR2004 - control characters
        return "the URL has white space in it"
    scheme, host = _scheme_and_host(url)
    if scheme not in ("http", "https") or not host:
        return "the URL is not a valid http or https URL"
    return "the host name has an underscore" if "_" in host else None


def reference_fault(reference: str) -> str | None:
    """Likewise for an attribute, which may be relative."""
    try:
        resolve_url("https://router.example/here", reference)
    except ValueError as error:
        return str(error)
    return None


def overrides_fault(fragment: str) -> str | None:
    """What is wrong with the connection overrides in a URL's fragment (Twilio docs: Webhooks connection overrides)."""
    for name, value in (part.partition("=")[::2] for part in fragment.split("&") if part):
        pattern = _OVERRIDES.get(name)
        if pattern is None:
            return f"there is no connection override {name[:20]!r}"
        if isinstance(pattern, range):
            fits = value.isascii() and value.isdecimal() and int(value) in pattern
        else:
            fits = bool(value) and set(value.split(",")) <= pattern
        if not fits:
            return f"the connection override {name} cannot be {value[:20]!r}"
    return None


def stream_url_fault(url: str) -> str | None:
    scheme, host = _scheme_and_host(url.strip())
    if scheme != "wss" or not host:
        return "a stream's URL must be wss"
    if "?" in url:
        return "a stream's URL takes no query string"
    return "a stream's URL takes no fragment" if "#" in url else None


def _scheme_and_host(url: str) -> tuple[str, str]:
    """Both empty if the URL cannot be read."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError as well
    except ValueError:
        return "", ""
    return parts.scheme, parts.hostname or ""


def sip_uri_fault(uri: str) -> str | None:
    address, _, headers = uri.partition("?")
    if len(address) >= MAX_SIP_URI:
        return f"the SIP address has {len(address)} characters, 254 are allowed"
    match = _SIP_URI.fullmatch(address)
    if match is None:
        return "it is not a SIP address"
    if "_" in match["host"]:
        return "the host name has an underscore"
    return _parameters_fault(match["parameters"]) or _headers_fault(headers)


def _parameters_fault(parameters: str) -> str | None:
    for parameter in filter(None, parameters.split(";")):
        name, _, value = parameter.partition("=")
        if name not in _SIP_PARAMETERS:
            return f"the SIP parameter {name} is unknown"
        allowed = _SIP_PARAMETERS[name]
        if not value or (allowed is not None and value.lower() not in allowed):
            return f"the SIP parameter {name} cannot be {value!r}"
    return None


def _headers_fault(headers: str) -> str | None:
    if len(headers) >= MAX_SIP_HEADERS:
        return f"the SIP headers have {len(headers)} characters, 1023 are allowed"
    for header in filter(None, headers.split("&")):
        name, equals, _ = header.partition("=")
        if not equals:
            return f"the SIP header {name} has no value"
        if not (name.lower().startswith("x-") and len(name) > len("x-")) and name.lower() not in _SIP_HEADERS:
            return f"the SIP header {name} may not be sent"
    return None


def sip_headers(uri: str) -> dict[str, str]:
    """The headers that a SIP address asks for, decoded."""
    pairs = (header.partition("=") for header in uri.partition("?")[2].split("&") if header)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def caller_id_fault(
    noun: str, caller_id: str | None, *, caller: str, called: str, numbers: Collection[str]
) -> str | None:
    """What is wrong with the caller ID of a leg. Without one, Twilio shows the caller's, which must be a number.

    `numbers` are the account's own; a phone may be shown only the caller, the called number or one of these.
    """
    if caller_id is None:
        return None if is_e164(caller) else "callerId must be provided: the caller has no number to show"
    if noun == "Sip":
        return None if _SIP_CALLER.fullmatch(caller_id) else f"callerId {caller_id!r} is not allowed for a SIP address"
    if not is_e164(caller_id):
        return f"callerId {caller_id!r} is not an E.164 number"
    if caller_id in {caller, called, *numbers}:
        return None
    return f"callerId {caller_id} is neither the caller, nor the called number, nor a number of the account"
