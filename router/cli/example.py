"""All settings as documentation shows them, and .env.example: `python -m router.cli.example > .env.example`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.registry import PROVIDERS, settings_of
from router.settings import Declared, Settings, env_name, is_secret

_EXAMPLE_HEAD = """\
# The settings of callrouter and their defaults. Copy this file to .env, uncomment what you want to change, and pass it
# on: EnvironmentFile= for systemd, --env-file for Docker. callrouter reads the environment, never the file.
# You can also provide a secret as NAME_FILE, the path of a file that contains it.
"""


@dataclass(frozen=True, slots=True)
class Described:
    """A setting as documentation shows it."""

    name: str
    meaning: str
    default: str | None
    is_secret: bool = False


def describe_all(declared: Mapping[str, Declared]) -> list[Described]:
    """All settings in the order of the documentation. `declared` are the providers'."""
    described: list[Described] = []
    for field, info in Settings.model_fields.items():
        if field == "providers":
            described += [Described(env_name(name), one.help, one.default) for name, one in declared.items()]
        elif not info.exclude:
            default = None if info.default_factory or info.default in (None, "") else _write(info.default)
            meaning = " ".join((info.description or "").split())
            described.append(Described(env_name(field), meaning, default, is_secret(info)))
    return described


def _write(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def make_example(declared: Mapping[str, Declared]) -> str:
    """The text of .env.example: each setting with its description and default, commented out."""
    settings = describe_all(declared)
    return "\n".join(
        [_EXAMPLE_HEAD, *(f"{_comment(one.meaning)}\n#{one.name}={one.default or ''}\n" for one in settings)]
    )


def _comment(text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


if __name__ == "__main__":
    sys.stdout.write(make_example(settings_of(PROVIDERS)))
