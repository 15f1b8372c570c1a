"""All that is particular to Twilio: the REST API behind `Carrier`, and the signatures of its webhooks."""

from __future__ import annotations

from adapters.twilio.client import Twilio
from adapters.twilio.signature import Form, FormError, read_form, read_text, request_url, sign, verify

__all__ = ["Form", "FormError", "Twilio", "read_form", "read_text", "request_url", "sign", "verify"]
