"""Agencies with their clients and tokens: made, changed, and deleted with everything they have outside."""
