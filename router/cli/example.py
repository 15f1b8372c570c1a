"""Prints the example of all settings: `python -m router.cli.example > .env.example`."""

from __future__ import annotations

import sys

from adapters.registry import PROVIDERS, settings_of
from router.settings import make_example

if __name__ == "__main__":
    sys.stdout.write(make_example(settings_of(PROVIDERS)))
