"""Putting together what several commands share: what reaches outside the process, and the jobs."""
