"""A call's life: what happens next on it, what happened, and what it leaves behind."""

from __future__ import annotations
