"""Handing a mail to an SMTP server: plain text, attachments where there are some, over TLS wherever it can be had.

Whom to write, what, and when is not decided here.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import aiosmtplib

from crypto import Secret

_PORTS: Final = {"smtp": 587, "smtps": 465}
_SECONDS: Final = 20.0
_FORM: Final = "must be an address like smtp://user:password@mail.example.com:587 or smtps://…"
StartTls = Literal["auto", "always", "never"]


class SmtpUrlError(ValueError):
    """The setting makes no sense. The text says why, and holds nothing of it."""


class MailError(Exception):
    """A mail was not taken. `final`: no other try would help, the server refuses this mail as such.

    Neither text nor args hold what the server said: that may repeat addresses.
    """

    def __init__(self, kind: str, *, code: int | None = None, final: bool = False) -> None:
        super().__init__(kind if code is None else f"{kind} ({code})")
        self.kind = kind
        self.code = code
        self.final = final


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail goes. `encrypted` from the first byte; otherwise STARTTLS as `start_tls` says."""

    host: str
    port: int
    encrypted: bool
    start_tls: StartTls
    user: str | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    content_type: str  # as in "audio/mpeg"
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mail:
    """What is sent. `id` makes the Message-ID: the same mail sent twice is one mail to a reader."""

    id: str
    to: str
    subject: str
    text: str
    attachments: tuple[Attachment, ...] = ()


def read_smtp_url(text: str) -> SmtpServer:
    """`smtp://` (STARTTLS) or `smtps://`, with user and password where the server wants them. Raises SmtpUrlError.

    A password never travels in the clear, but to this machine, or after `?starttls=never`.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SmtpUrlError(_FORM) from None
    if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.fragment:
        raise SmtpUrlError(_FORM)
    if (parts.username is None) != (parts.password is None):
        raise SmtpUrlError("must have a user and a password, or neither")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    wanted = options.pop("starttls", None)
    if options or wanted not in (None, "auto", "always", "never"):
        raise SmtpUrlError("may have one option: starttls=auto, always or never")
    default: StartTls = "always" if parts.password and not _is_here(host) else "auto"
    return SmtpServer(
        host=host,
        port=port or _PORTS[parts.scheme],
        encrypted=parts.scheme == "smtps",
        start_tls=wanted or default,  # type: ignore[arg-type]  # checked above
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else Secret(unquote(parts.password)),
    )


class Mailer:
    """Sends mails, each over a connection of its own: there are few."""

    def __init__(self, server: SmtpServer, sender: str, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._sender = sender
        self._tls = tls

    async def send(self, mail: Mail) -> None:
        """Raises MailError."""
        server = self._server
        try:
            await aiosmtplib.send(
                compose(mail, self._sender),
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=None if server.password is None else server.password.reveal(),
                use_tls=server.encrypted,
                start_tls=None if server.encrypted or server.start_tls == "auto" else server.start_tls == "always",
                tls_context=self._tls or ssl.create_default_context(),
                timeout=_SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as refused:
            code = refused.recipients[0].code if refused.recipients else None
            raise MailError("recipient_refused", code=code, final=_is_final(code)) from None
        except aiosmtplib.SMTPAuthenticationError as refused:
            raise MailError("login_refused", code=refused.code) from None
        except aiosmtplib.SMTPResponseException as refused:
            raise MailError("refused", code=refused.code, final=_is_final(refused.code)) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise MailError(type(error).__name__) from None


def compose(mail: Mail, sender: str) -> EmailMessage:
    """The message as it is sent. An address or subject with a line break in it raises ValueError."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{mail.id}@{_domain(sender)}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes, please
    message.set_content(mail.text)
    for attachment in mail.attachments:
        main, _, sub = attachment.content_type.partition("/")
        message.add_attachment(attachment.data, maintype=main, subtype=sub, filename=attachment.name)
    return message


def sender_mistake(text: str) -> str | None:
    """What is wrong with the address that mail comes from; None if nothing."""
    message = EmailMessage()
    try:
        message["From"] = text
        [address] = message["From"].addresses
    except (ValueError, IndexError):
        return "must be one address, like callrouter@example.com or Calls <callrouter@example.com>"
    if message["From"].defects or not address.username or not address.domain:
        return "must be one address, like callrouter@example.com or Calls <callrouter@example.com>"
    return None


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2].strip("> ")


def _is_final(code: int | None) -> bool:
    """RFC 5321: a server that answers 5xx does not want to hear of it again."""
    return code is not None and code >= 500  # noqa: PLR2004


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
