"""`python -m router` and the `callrouter` command."""

from __future__ import annotations

from router.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
