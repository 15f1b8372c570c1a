"""The service: answers Twilio's webhooks, keeps agencies' settings, records what happened."""

from __future__ import annotations
