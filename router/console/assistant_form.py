"""The portable assistant as a form, and the form as the API's definition."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from router.console import function_form
from router.console.api import FieldProblem, Refusal
from router.console.drawing import write_json
from router.console.forms import Form

_VOICE: Final = "voice_"


def values_of(definition: Mapping[str, Any] | None, providers: Iterable[str]) -> dict[str, Any]:
    """The form's values for a definition as the API shows it; None: there is none yet."""
    known = definition or {}
    voice = known.get("voice") or {}
    return {
        **{name: known.get(name) or "" for name in ("prompt", "greeting", "transfer_to", "max_seconds")},
        "languages": list(known.get("languages") or ()),
        "voicemail_detection": bool(known.get("voicemail_detection")),
        "functions": [function_form.values_of(one) for one in known.get("functions") or ()],
        "knowledge": [(one["title"], one["text"]) for one in known.get("knowledge") or ()],
        **{f"{_VOICE}{name}": write_json(voice.get(name)) for name in providers},
    }


def read_values(form: Form, providers: Iterable[str]) -> dict[str, Any]:
    """What was sent, for the definition or for showing the form again."""
    titles, texts = form.get_all("knowledge_title"), form.get_all("knowledge_text")
    knowledge = [
        (title.strip(), text.strip().replace("\r\n", "\n")) for title, text in zip(titles, texts, strict=False)
    ]
    return {
        **form.texts("greeting", "transfer_to"),
        "languages": [tag for given in form.get_all("languages") if (tag := given.strip())],
        "prompt": form.lines("prompt"),
        "max_seconds": form.number("max_seconds") or "",
        "voicemail_detection": form.ticked("voicemail_detection"),
        "functions": function_form.read_values(form),
        "knowledge": [pair for pair in knowledge if pair != ("", "")],
        **{f"{_VOICE}{name}": form.lines(f"{_VOICE}{name}") for name in providers},
    }


def definition_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The definition. Raises Refusal without instructions, and for a field that is not JSON and should be."""
    if not values["prompt"]:
        wrong = FieldProblem("prompt", "Write instructions for the assistant, or remove it.")
        raise Refusal(422, "invalid", "The assistant has no instructions.", (wrong,))
    definition: dict[str, Any] = {"prompt": values["prompt"]}
    definition |= {
        name: values[name] for name in ("greeting", "languages", "transfer_to", "max_seconds") if values[name]
    }
    if values["voicemail_detection"]:
        definition["voicemail_detection"] = True
    if values["functions"]:
        definition["functions"] = [_function(number, one) for number, one in enumerate(values["functions"])]
    if values["knowledge"]:
        definition["knowledge"] = [{"title": title, "text": text} for title, text in values["knowledge"]]
    voice = {
        name.removeprefix(_VOICE): given
        for name in values
        if name.startswith(_VOICE) and (given := _read_json(values[name], name, dict, "an object: { … }")) is not None
    }
    return definition | ({"voice": voice} if voice else {})


def _function(number: int, values: Mapping[str, Any]) -> dict[str, Any]:
    field = f"function_{number}_parameters"
    if not values["schema"] and function_form.has_odd_names(values):
        message = "Give each parameter a name of its own."
        raise Refusal(422, "invalid", message, (FieldProblem(field, message),))
    return function_form.definition_of(
        values, lambda: _read_json(values["schema"], field, dict, "a JSON Schema: { … }")
    )


def write_voice(settings: Mapping[str, Any]) -> str:
    """On one line, for the button that chooses it."""
    return json.dumps(settings)


def read_voice(text: str) -> dict[str, Any]:
    """What `write_voice` wrote. Raises Refusal."""
    settings: dict[str, Any] = _read_json(text, "voice", dict, "one of the voices in the list") or {}
    return settings


def relocate(problem: Refusal) -> Refusal:
    """The same problem with the form's fields, those of functions by their place in the list."""
    return Refusal(problem.status, problem.name, problem.detail, tuple(map(_relocate, problem.fields)))


def _relocate(problem: FieldProblem) -> FieldProblem:
    head, *rest = problem.field.removeprefix("assistant").lstrip(".").split(".")
    match head, rest:
        case "functions", [number, "name" | "url" | "description" as part] if number.isdecimal():
            return FieldProblem(f"function_{number}_{part}", problem.message)
        case "functions", [number, *_] if number.isdecimal():
            return FieldProblem(f"function_{number}_parameters", problem.message)
        case "knowledge", [number, "title" | "text" as part]:
            return FieldProblem(f"knowledge_{part}_{number}", problem.message)
        case "voice", [name, *_]:
            return FieldProblem(f"{_VOICE}{name}", problem.message)
        case "", _:
            return FieldProblem("functions", problem.message)
    return FieldProblem(head, problem.message)


def _read_json(text: str, field: str, kind: type, shape: str) -> Any:
    if not text:
        return None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"This is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}."
    except (ValueError, RecursionError):
        message = "This is not valid JSON."
    else:
        if isinstance(found, kind):
            return found
        message = f"This must be {shape}."
    raise Refusal(422, "invalid", message, (FieldProblem(field, message),))
