"""What callers and owners hear from us, in each language. router.twiml makes TwiML of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Phrases:
    """The sentences of one language. `{name}` is the client's name."""

    leave_message: str
    goodbye: str
    take_call: str
    not_in_service: str


_ENGLISH: Final = Phrases(
    leave_message="Thank you for calling {name}. We can't come to the phone right now. "
    "Please leave a message after the tone.",
    goodbye="Thank you. Goodbye.",
    take_call="A call for {name}. Press 1 to take it.",
    not_in_service="This number is not in service. Goodbye.",
)

_PHRASES: Final[dict[str, Phrases]] = {
    "en": _ENGLISH,
    "es": Phrases(
        leave_message="Gracias por llamar a {name}. En este momento no podemos atenderle. "
        "Por favor, deje su mensaje después de la señal.",
        goodbye="Gracias. Adiós.",
        take_call="Una llamada para {name}. Pulse 1 para atenderla.",
        not_in_service="Este número no está en servicio. Adiós.",
    ),
    "fr": Phrases(
        leave_message="Merci d'avoir appelé {name}. Nous ne pouvons pas vous répondre pour le moment. "
        "Laissez un message après le signal sonore.",
        goodbye="Merci. Au revoir.",
        take_call="Un appel pour {name}. Appuyez sur 1 pour le prendre.",
        not_in_service="Ce numéro n'est pas en service. Au revoir.",
    ),
    "de": Phrases(
        leave_message="Danke für Ihren Anruf bei {name}. Wir können gerade nicht ans Telefon gehen. "
        "Bitte hinterlassen Sie nach dem Ton eine Nachricht.",
        goodbye="Vielen Dank. Auf Wiederhören.",
        take_call="Ein Anruf für {name}. Drücken Sie die 1, um ihn anzunehmen.",
        not_in_service="Diese Nummer ist nicht vergeben. Auf Wiederhören.",
    ),
    "it": Phrases(
        leave_message="Grazie per aver chiamato {name}. Al momento non possiamo rispondere. "
        "Lasciate un messaggio dopo il segnale acustico.",
        goodbye="Grazie. Arrivederci.",
        take_call="Una chiamata per {name}. Premere 1 per rispondere.",
        not_in_service="Questo numero non è attivo. Arrivederci.",
    ),
    "pt": Phrases(
        leave_message="Obrigado por ligar para {name}. Neste momento não podemos atender. "
        "Deixe a sua mensagem após o sinal.",
        goodbye="Obrigado. Até logo.",
        take_call="Uma chamada para {name}. Pressione 1 para atender.",
        not_in_service="Este número não está em serviço. Até logo.",
    ),
    "nl": Phrases(
        leave_message="Bedankt voor uw telefoontje naar {name}. We kunnen nu niet opnemen. "
        "Spreek na de toon een bericht in.",
        goodbye="Bedankt. Tot ziens.",
        take_call="Een oproep voor {name}. Druk op 1 om aan te nemen.",
        not_in_service="Dit nummer is niet in gebruik. Tot ziens.",
    ),
}

# The locales of Twilio's Say voices (Twilio docs: TwiML Say, "Available voices and languages").
_SAY_LOCALES: Final = (
    "en-US en-GB en-AU en-CA en-IN es-ES es-MX es-US fr-FR fr-CA de-DE it-IT pt-BR pt-PT nl-NL da-DK fi-FI ja-JP "
    "ko-KR nb-NO pl-PL ru-RU sv-SE tr-TR hi-IN ro-RO is-IS cy-GB ca-ES zh-CN zh-HK zh-TW"
).split()
_SPOKEN_AS: Final = {"no": "nb", "nn": "nb"}


def phrases_for(language: str) -> Phrases:
    """The sentences for a BCP 47 tag; English where we do not speak the language."""
    return _PHRASES.get(_primary(language), _ENGLISH)


def say_locale(language: str) -> str:
    """The locale for a client's own text: the nearest one that Twilio has, else en-US."""
    primary = _SPOKEN_AS.get(_primary(language), _primary(language))
    region = language.partition("-")[2].rpartition("-")[2].lower()
    related = [locale for locale in _SAY_LOCALES if locale.startswith(f"{primary}-")]
    exact = [locale for locale in related if locale.lower() == f"{primary}-{region}"]
    return next(iter(exact or related), "en-US")


def phrase_locale(language: str) -> str:
    """The locale for our own sentences: the client's, or en-US where they fall back to English."""
    return say_locale(language) if _primary(language) in _PHRASES else "en-US"


def _primary(language: str) -> str:
    return language.partition("-")[0].lower()
