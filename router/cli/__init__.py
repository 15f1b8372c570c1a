"""The commands. Each is thin and uses the service's own parts."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from router.cli.call import call
from router.cli.demo import demo
from router.cli.doctor import doctor
from router.cli.explain import explain
from router.cli.keys import keys, migrate_command
from router.cli.move import adopt_command, move
from router.cli.serve import fallback, serve
from router.cli.setup import ignore_signals
from router.cli.worker import worker

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Answers the phone for AI-receptionist agencies.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"callrouter {version('callrouter')}")
        raise typer.Exit


@app.callback()
def _read_options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None: ...


app.command("serve")(serve)
app.command("worker")(worker)
app.command("fallback")(fallback)
app.command("migrate")(migrate_command)
app.command("demo")(demo)
app.command("call")(call)
app.command("explain")(explain)
app.command("doctor")(doctor)
app.command("move")(move)
app.command("adopt")(adopt_command)
app.add_typer(keys, name="keys")


def main() -> None:
    """The entry point of the `callrouter` command. Wrong usage is reported in one line."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message():
            sys.stderr.write(f"callrouter: {message}\n")
        code = error.exit_code
    # Cleanup, such as stopping the embedded database, must not be interrupted.
    ignore_signals()
    sys.exit(code)
