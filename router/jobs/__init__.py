"""The queue: work that outlives a request, done at least once, by any process that is free.

The composition root registers the handlers; this package does not know what jobs do.
"""

from __future__ import annotations

from router.jobs.enqueue import enqueue, enqueue_fresh
from router.jobs.retry import Again, GiveUp, RetryPolicy
from router.jobs.runner import Job, JobRunner, judge_failure
from router.jobs.turns import Turns, ask_for_turn

__all__ = [
    "Again",
    "GiveUp",
    "Job",
    "JobRunner",
    "RetryPolicy",
    "Turns",
    "ask_for_turn",
    "enqueue",
    "enqueue_fresh",
    "judge_failure",
]
