"""Rows of calls: claims, writes, ends, reports, history and figures."""
