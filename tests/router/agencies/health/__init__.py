"""The health of keys."""
