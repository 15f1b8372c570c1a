"""Mail to people who want it: letters wait in the queue, and are written when they are sent over SMTP."""

from __future__ import annotations

from router.mail.confirming import Asked, Confirmations
from router.mail.letters import Letters, UnconfirmedError, post
from router.mail.smtp import Attachment, Mail, Mailer, MailError, SmtpUrlError, read_smtp_url, sender_mistake

__all__ = [
    "Asked",
    "Attachment",
    "Confirmations",
    "Letters",
    "Mail",
    "MailError",
    "Mailer",
    "SmtpUrlError",
    "UnconfirmedError",
    "post",
    "read_smtp_url",
    "sender_mistake",
]
