"""The commands. Each is thin and uses the service's own parts."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Final

import typer

from router.hygiene import no_collections

_COMMANDS: Final = {
    "serve": "serve:serve",
    "worker": "worker:worker",
    "fallback": "serve:fallback",
    "migrate": "keys:migrate_command",
    "demo": "demo:demo",
    "call": "call:call",
    "explain": "explain:explain",
    "doctor": "doctor:doctor",
    "move": "move:move",
    "adopt": "move:adopt_command",
    "keys": "keys:keys",
    "backup": "backup:backup",
}
"""Each command's module and its function there, or its own commands. Only what is used is imported: a service starts
without the sandbox."""


def make_app(command: str | None = None) -> typer.Typer:
    """With this command alone, or with all of them."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Answers the phone for AI-receptionist agencies.",
    )
    app.callback()(_read_options)
    for name in _COMMANDS if command is None else (command,):
        module, _, attribute = _COMMANDS[name].partition(":")
        found = getattr(import_module(f"router.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"callrouter {version('callrouter')}")
        raise typer.Exit


def _read_options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None: ...


def main() -> None:
    """The entry point of the `callrouter` command. Wrong usage is reported in one line."""
    first = sys.argv[1] if len(sys.argv) > 1 else None
    with no_collections():
        app = make_app(first if first in _COMMANDS else None)
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message():
            sys.stderr.write(f"callrouter: {message}\n")
        code = error.exit_code
    from router.cli.setup import ignore_signals  # noqa: PLC0415  (so that it is imported with the command)

    # Cleanup, such as stopping the embedded database, must not be interrupted.
    ignore_signals()
    sys.exit(code)
