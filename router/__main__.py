"""`python -m router` and the `callrouter` command."""

from __future__ import annotations

from router.hygiene import protect_memory, restart_with_hygiene


def main() -> None:
    """Every command may open keys, so memory hygiene comes before anything else is loaded."""
    restart_with_hygiene()
    protect_memory()
    from router.cli import main as run_command  # noqa: PLC0415

    run_command()


if __name__ == "__main__":
    main()
