"""Rows of messages, their mail and their retention."""
