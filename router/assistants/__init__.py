"""Clients' assistants at voice providers: what is wanted where, the work that brings it about, links, switch plans."""
