"""Agencies' keys: saved after a real request, checked on a schedule, erased when no call needs them any more."""
