from __future__ import annotations

from router.routing.route import Hours, OpenSpan, Routing
from router.store.tenants.clients import read_routing


def test_absent_settings_have_their_defaults():
    assert read_routing({}) == Routing()


def test_routing_is_read_from_the_form_in_which_the_api_stores_it():
    stored = {
        "mode": "owner_first",
        "on_failure": "ring_through",
        "ring_seconds": 20,
        "screen": False,
        "voicemail_greeting": "Hello.",
        "voicemail_seconds": 60,
        "hours": {
            "timezone": "Europe/London",
            "open": [
                {"days": ["sun", "mon"], "from": "09:05", "to": "17:30"},
                {"days": ["fri"], "from": "20:00", "to": "02:00"},
                {"days": ["wed"], "from": "00:00", "to": "24:00"},
            ],
            "closed_mode": "ai",
        },
    }
    assert read_routing(stored) == Routing(
        mode="owner_first",
        on_failure="ring_through",
        ring_seconds=20,
        screen=False,
        voicemail_greeting="Hello.",
        voicemail_seconds=60,
        hours=Hours(
            timezone="Europe/London",
            open=(OpenSpan((0, 6), 545, 1050), OpenSpan((4,), 1200, 120), OpenSpan((2,), 0, 1440)),
            closed_mode="ai",
        ),
    )
