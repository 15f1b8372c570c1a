"""Rows of assistants: what is wanted at which provider, and what is there."""
