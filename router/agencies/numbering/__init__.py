"""Numbers of agencies beyond a row: the accounts they are on, buying, looking after, and giving back.

The addresses under /v1 are in router.agencies.numbers and router.agencies.registrations.
"""

from __future__ import annotations
