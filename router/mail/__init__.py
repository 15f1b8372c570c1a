"""Mail to people: letters wait in the queue, and are written when they are sent over SMTP."""

from __future__ import annotations

from router.mail.letters import Letters, post
from router.mail.smtp import Attachment, Mail, Mailer, MailError, SmtpUrlError, read_smtp_url, sender_mistake

__all__ = [
    "Attachment",
    "Letters",
    "Mail",
    "MailError",
    "Mailer",
    "SmtpUrlError",
    "post",
    "read_smtp_url",
    "sender_mistake",
]
