"""Agencies, their clients and their tokens."""
