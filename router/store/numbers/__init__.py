"""Rows of numbers, their registrations and purchases."""
