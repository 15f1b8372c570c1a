"""Calls at a steady rate while everything around the service fails, and the count of what became of them."""

from __future__ import annotations
