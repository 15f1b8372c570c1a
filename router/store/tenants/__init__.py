"""Rows of agencies, clients, tokens, the audit log and repeated requests."""
