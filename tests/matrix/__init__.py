"""The fault matrix: every way in which a provider can fail, at every place of the ladder, in every state of circuits
and database.
"""

from __future__ import annotations
