"""What happens to a call in the middle of something because the carrier's API was asked to change it."""

from __future__ import annotations

from collections.abc import Mapping


class Interrupted(Exception):  # noqa: N818 - it happens to the call, and is no mishap
    """The call goes on with something else, or is over: whatever it was at ends here.

    `update` is the form that the API was sent (Twilio docs: Call resource, Update).
    """

    def __init__(self, update: Mapping[str, str]) -> None:
        super().__init__()
        self.update = update

    @property
    def is_end(self) -> bool:
        return "Status" in self.update
