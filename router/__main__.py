"""`python -m router` and the `callrouter` command."""

from __future__ import annotations

import sys

from router.hygiene import restart_with_hygiene

_LONG_LIVED = ("serve", "worker", "fallback", "demo")


def main() -> None:
    """Commands that open keys first restart with memory hygiene, before anything else is loaded."""
    if sys.argv[1:2] and sys.argv[1] in _LONG_LIVED:
        restart_with_hygiene()
    from router.cli import main as run_command  # noqa: PLC0415

    run_command()


if __name__ == "__main__":
    main()
