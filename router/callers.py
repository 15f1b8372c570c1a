"""Who calls, and which phone forwarded the call, from what carriers and providers say. No other module judges that.

A caller is who has a number of E.164's shape that is not withheld, whether numbering plans list it or not: carriers send
+521 for Mexico and +549 for Argentina.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote

import phonenumbers
from phonenumbers import PhoneNumberType, ValidationResult

from adapters.phone import WITHHELD, has_american_length, is_e164, is_listed
from router.phones import read_phone

# Twilio docs, Voice request parameters and the help pages about caller ID; the rest as carriers are seen to write it.
_WORDS: Final = ("anonymous", "blocked", "hidden", "private", "restricted", "unavailable", "unknown", "withheld")
_KEYS: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_SPELLED: Final = tuple(word.translate(_KEYS) for word in _WORDS)
# As exchanges elsewhere write it: without accents, spaces and capital letters.
_ELSEWHERE: Final = """
    suppressed undisclosed unidentified notavailable notprovided outofarea
    anonyme inconnu masque prive nondisponible indisponible
    anonym unbekannt unterdruckt privat nichtverfugbar
    anonimo desconocido oculto privado nodisponible desconhecido naoidentificado restrito
    sconosciuto nascosto privato riservato
    anoniem onbekend afgeschermd verborgen ukendt ukjent okand okant skjult dold hemligt
    anonimowy nieznany zastrzezony prywatny ukryty gizli bilinmeyen
    анонимныи неизвестныи скрытыи скрыт
    非通知 通知不可能 匿名 未知 未知号码 未知號碼 私人号码 私人號碼 隐藏号码 발신번호표시제한 발신번호제한 알수없음
""".split()
_AROUND: Final = (
    "(?:number|caller|call|id|name|numero|nummer|rufnummer|numer|номер|appel|appelant|anruf|anrufer|llamada)*"
)
_SAID: Final = re.compile(rf"(?:{_AROUND}(?:{'|'.join((*_WORDS, *_ELSEWHERE))})+{_AROUND}|no{_AROUND})")
_USER: Final = re.compile(r"(?:sips?|tel):([^@;>]*)", re.IGNORECASE)
_BEFORE_HOST: Final = re.compile(r"<?([^@;>]*)@")
_WITH_A_DIGIT_MORE: Final = frozenset({52, 54})  # mobile phones of Mexico and Argentina: +52 or +521, +54 or +549
_MORE: Final = {"+52": "1", "+54": "9"}
_NATIONAL_DIGITS: Final = 9  # numbers whose last nine digits are equal are the same phone
_MOST_DIGITS: Final = 15
_EXISTING: Final = frozenset(
    {ValidationResult.IS_POSSIBLE, ValidationResult.TOO_LONG, ValidationResult.INVALID_LENGTH},
)


def name_caller(text: str | None) -> str:
    """What is kept and shown as the caller's number: `withheld`, or what was said."""
    return WITHHELD if text is None or _is_withheld(text) else text


def read_caller(text: str | None) -> str | None:
    """The caller's number in E.164 form; None for a withheld number and for what is no phone number."""
    return text if is_e164(text) and not _is_withheld(text) else None


def can_exist(caller: str) -> bool:
    """Whether it may be shown as caller ID: not a number of no country, or one too short for its country."""
    if has_american_length(caller):
        return True
    try:
        number = phonenumbers.parse(caller, None)
    except phonenumbers.NumberParseException:
        return False
    ordinary = PhoneNumberType.FIXED_LINE_OR_MOBILE
    fits = phonenumbers.is_possible_number_for_type_with_reason(number, ordinary) in _EXISTING
    return fits or phonenumbers.is_valid_number(number)


def phone_ending(text: str, near: str) -> str | None:
    """The end of a phone's E.164 number, or all of it, from any spelling. `near`: a number in the country of the call.

    None if it is too short to identify one phone.
    """
    if not text:
        return None
    compact = re.sub(r"[^0-9+]", "", _user_of(text))
    if is_e164(compact):
        return compact[-_NATIONAL_DIGITS:] if _is_one_of_several_spellings(compact, near) else compact
    digits = compact.replace("+", "")
    if digits and (national := _read_national(digits, near)):
        return national
    digits = digits.lstrip("0")
    return digits[-_NATIONAL_DIGITS:] if _NATIONAL_DIGITS <= len(digits) <= _MOST_DIGITS else None


def find_spellings(text: str, near: Iterable[str]) -> tuple[str, ...]:
    """What may be kept of a number that somebody typed in, abroad or as in one of the countries of the numbers `near`.

    Empty: it is no number, nor anything else that carriers say of a caller.
    """
    if name_caller(text) == WITHHELD and text.strip():
        return (WITHHELD,)
    if "@" in text:
        return (text.strip(),)
    try:
        found = {read_phone(text)}
    except ValueError:
        digits = re.sub(r"[^0-9]", "", text)
        national = {_read_national(digits, one) for one in near} if digits else set()
        found = {one for one in (*national, f"+{digits.removeprefix('00')}") if is_e164(one)}
    return tuple(sorted(found | {more for one in found for more in _with_a_digit_more(one)}))


def _with_a_digit_more(e164: str) -> Iterator[str]:
    for code, digit in _MORE.items():
        if e164.startswith(code + digit):
            yield code + e164.removeprefix(code + digit)
        elif e164.startswith(code):
            yield code + digit + e164.removeprefix(code)


def is_same_phone(given: str, phone: str) -> bool:
    """Whether `given`, in any spelling, is the phone with this E.164 number."""
    ending = phone_ending(given, phone)
    return ending is not None and phone.endswith(ending)


def _user_of(text: str) -> str:
    """What stands for the phone in a SIP address, with or without its scheme; else all of the text."""
    plain = unquote(text)
    user = _USER.search(plain) or _BEFORE_HOST.match(plain)
    return user[1].partition(";")[0] if user else plain


def _is_one_of_several_spellings(e164: str, near: str) -> bool:
    """Whether carriers of the country of both may write it with a digit more or less, as +44 (0)20."""
    try:
        code = phonenumbers.parse(near, None).country_code
        number = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return False
    if number.country_code != code:
        return False
    canonical = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return code in _WITH_A_DIGIT_MORE or canonical != e164 or not phonenumbers.is_valid_number(number)


def _read_national(digits: str, near: str) -> str | None:
    """As it is dialled in the country of `near`. None if that country lists no such number."""
    try:
        region = phonenumbers.region_code_for_country_code(phonenumbers.parse(near, None).country_code or 0)
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _is_withheld(text: str) -> bool:
    """Nothing, a word such as Anonymous, a SIP address with one, or the digits that spell one on a keypad."""
    said = text if is_e164(text) else _user_of(text).strip()
    digits = said.removeprefix("+")
    if digits.isascii() and digits.isdecimal():
        return digits.endswith(_SPELLED) and _is_spelled(digits)
    return not said or _SAID.fullmatch(_letters_of(said)) is not None


def _letters_of(text: str) -> str:
    """Without accents, in lower case, and nothing else."""
    bare = re.sub(r"[\W_]", "", unicodedata.normalize("NFKD", text.casefold()))  # accents are no letters
    return unicodedata.normalize("NFKC", bare)


def _is_spelled(digits: str) -> bool:
    """Carriers put their country code before some. The digits after one may also be somebody's number."""
    if is_listed(f"+{digits}"):
        return False
    codes = {digits.removesuffix(word) for word in _SPELLED if digits.endswith(word)}
    return any(not code or int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE for code in codes)
