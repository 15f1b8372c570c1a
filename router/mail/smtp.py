"""Sends mail through an SMTP server: plain text with attachments, over TLS where the server supports it."""

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
import idna

from crypto import Secret

_PORTS: Final = {"smtp": 587, "smtps": 465}
_SECONDS: Final = 20.0
_FORM: Final = "must be an address like smtp://user:password@mail.example.com:587 or smtps://…"
_REFUSALS: Final = {
    "recipient_refused": "the mail server refuses the address",
    "refused": "the mail server refuses the message",
    "login_refused": "the mail server refuses our login",
    "unsendable": "the address or the subject cannot be written in a mail",
}
StartTls = Literal["auto", "always", "never"]


class SmtpUrlError(ValueError):
    """The setting is wrong. The text says why, and quotes nothing of it."""


class MailError(Exception):
    """A mail was not sent. `final`: the server refuses this mail, so that trying again is useless.

    Neither text nor args hold the server's reply, which may repeat addresses.
    """

    def __init__(self, kind: str, *, code: int | None = None, final: bool = False) -> None:
        super().__init__(kind if code is None else f"{kind} ({code})")
        self.kind = kind
        self.code = code
        self.final = final

    @property
    def words(self) -> str:
        """What happened, for people."""
        said = _REFUSALS.get(self.kind, f"no mail server could be reached ({self.kind})")
        return said if self.code is None else f"{said} ({self.code})"


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
    name: str
    content_type: str  # as in "audio/mpeg"
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mail:
    """`id` becomes the Message-ID, so that a mail sent twice can be recognised as one."""

    id: str
    to: str
    subject: str
    text: str
    attachments: tuple[Attachment, ...] = ()


def read_smtp_url(text: str) -> SmtpServer:
    """`smtp://` (STARTTLS) or `smtps://`, with user and password where the server wants them. Raises SmtpUrlError.

    A password is sent unencrypted only to this machine, or with `?starttls=never`.
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


@dataclass(frozen=True, slots=True)
class Mailer:
    """Sends each mail over a connection of its own: there are few."""

    server: SmtpServer
    sender: str
    tls: ssl.SSLContext | None = None

    async def send(self, mail: Mail) -> None:
        """Raises MailError."""
        server = self.server
        try:
            message = compose(mail, self.sender)
        except ValueError:
            raise MailError("unsendable", final=True) from None
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=None if server.password is None else server.password.reveal(),
                use_tls=server.encrypted,
                start_tls=None if server.encrypted or server.start_tls == "auto" else server.start_tls == "always",
                tls_context=self.tls or ssl.create_default_context(),
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
    """The message as it is sent. Raises ValueError for an address or subject with a line break."""
    message = EmailMessage()
    message["From"] = read_sender(sender)
    message["To"] = Address(addr_spec=_in_ascii(mail.to))
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{mail.id}@{message['From'].addresses[0].domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic replies
    message.set_content(mail.text)
    for attachment in mail.attachments:
        main, _, sub = attachment.content_type.partition("/")
        message.add_attachment(attachment.data, maintype=main, subtype=sub, filename=attachment.name)
    return message


def read_sender(text: str) -> Address:
    """Raises ValueError if it is not one address, with or without a name."""
    message = EmailMessage()
    try:
        message["From"] = text
        [written] = message["From"].addresses
    except IndexError:
        raise ValueError("no address") from None
    if not (written.username and written.domain) or message["From"].defects:
        raise ValueError("not an address")
    return Address(written.display_name, addr_spec=_in_ascii(written.addr_spec))


def sender_mistake(text: str) -> str | None:
    """What is wrong with the sender's address; None if nothing is."""
    try:
        read_sender(text)
    except ValueError:
        return "must be one address, like callrouter@example.com or Calls <callrouter@example.com>"
    return None


def _in_ascii(address: str) -> str:
    """With an internationalised domain as mail servers know it (IDNA 2008). Raises ValueError."""
    local, _, domain = address.rpartition("@")
    return address if domain.isascii() else f"{local}@{idna.encode(domain, uts46=True).decode()}"


def _is_final(code: int | None) -> bool:
    """RFC 5321: after a 5xx reply the same mail must not be sent again."""
    return code is not None and code >= 500  # noqa: PLR2004


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
