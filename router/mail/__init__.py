"""Mail to people: how it is handed to a server, and how a letter waits in the queue until it is written and sent."""

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
