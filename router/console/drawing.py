"""Pages as answers: the templates, and how they write times, numbers, money and phones. All but our markup is escaped."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import phonenumbers
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from adapters.phone import WITHHELD
from adapters.registry import Declarations, one_of
from router.callers import name_caller
from router.console import notices, words
from router.console.kinds import kinds_of

_FOLDER: Final = Path(__file__).parent
_MINUTE: Final = 60
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers would send forms without an origin
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Drawing:
    """Draws pages for a console whose addresses begin with `home`. `providers` are the voice providers; `waits` and
    `sends_mail` as the console's services have them.
    """

    def __init__(
        self, home: str, providers: Declarations, waits: Callable[[], bool], *, sends_mail: bool = True
    ) -> None:
        self._environment = _make_environment(home, providers)
        self._waits = waits
        self._sends_mail = sends_mail

    def respond(self, template: str, status: int = 200, **content: Any) -> Response:
        page = self._environment.get_template(template).render(
            content, outside_waits=self._waits(), sends_mail=self._sends_mail
        )
        return Response(page, status, _HEADERS, "text/html")


def see_other(address: str) -> Response:
    return RedirectResponse(address, 303, _HEADERS)


@cache
def _make_environment(home: str, providers: Declarations) -> Environment:
    """One in a process, so that each template is compiled once."""
    kinds = kinds_of(providers)
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "when": write_time,
        "moment": write_moment,
        "phone": write_phone,
        "caller": write_caller,
        "money": write_money,
        "seconds": write_seconds,
        "count": lambda number: "–" if number is None else f"{number:,}",
        "share": lambda share: f"{share:.0%}",
        "wait": lambda seconds: "–" if seconds is None else f"{seconds:.1f} s",
        "said": words.say,
        "sentence": write_sentence,
        "indented": indent_json,
        "country": lambda code: words.COUNTRIES.get(code, code),
    }
    environment.globals |= {
        "home": home,
        "asset": lambda name: f"{home}/static/{name}?v={fingerprint(name)}",
        "notices": notices,
        "words": words,
        "kinds": kinds,
        "label": lambda name: kinds[name].label if name in kinds else name.title(),
        "any_provider": one_of(providers),
        "any_seller": one_of(tuple(one for one in providers if one.shop is not None)),
        "fresh_key": lambda: secrets.token_urlsafe(18),
    }
    return environment


@cache
def fingerprint(name: str) -> str:
    """Changes with the file, so that browsers may keep it for long."""
    return hashlib.sha256((_FOLDER / "static" / name).read_bytes()).hexdigest()[:16]


def write_time(at: str | None) -> Markup | str:
    """In UTC; the script rewrites it in the visitor's time zone."""
    if not at:
        return "–"
    moment = datetime.fromisoformat(at)
    return Markup('<time datetime="{}">{}</time>').format(
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"), moment.strftime("%-d %b %Y, %H:%M UTC")
    )


def write_moment(at: str) -> str:
    """To the millisecond, in UTC."""
    moment = datetime.fromisoformat(at)
    return f"{moment:%-d %b %Y, %H:%M:%S}.{moment.microsecond // 1000:03d} UTC"


def write_phone(number: str | None) -> str:
    """+1 415-555-0123. Anything that is not a number, such as a SIP address, stays as it is."""
    if not number:
        return "–"
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def write_caller(number: str | None) -> str:
    return "withheld number" if number and name_caller(number) == WITHHELD else write_phone(number)


def write_money(dollars: float | None, digits: int = 2) -> str:
    if dollars is None:
        return "–"
    return f"−${-dollars:,.{digits}f}" if dollars < 0 else f"${dollars:,.{digits}f}"


def write_seconds(seconds: float | None) -> str:
    """42 s, 3 min 05 s, 1 h 02 min."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def write_sentence(text: str) -> str:
    """The API's messages continue a field's name, and have no full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def indent_json(text: str) -> str:
    """As it is if it is no JSON."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def write_json(value: Any) -> str:
    return "" if value in (None, [], {}) else json.dumps(value, indent=2, ensure_ascii=False)
