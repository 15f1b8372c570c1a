"""`callrouter` whose memory the test that started it may read, also where it has no special rights.

Run as a script, with the command's own arguments behind the first: `open_service.py protected serve` keeps everything
but that, `open_service.py unprotected serve` runs as on a system where freed memory is not overwritten.
"""

from __future__ import annotations

import sys

from router import hygiene
from router.__main__ import main


def open_memory(how: str) -> None:
    hygiene._prctl = lambda *_: None
    if how == "unprotected":
        hygiene._has_glibc = lambda: False


if __name__ == "__main__":
    open_memory(sys.argv.pop(1))
    main()
