"""The pages at /console, where people at agencies do what the API offers: a client of the API, and nothing more."""

from __future__ import annotations
