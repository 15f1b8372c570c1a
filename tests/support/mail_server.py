"""A mail server on loopback: takes mails as a real one would, and keeps them. RFC 5321, 4954 (PLAIN, LOGIN), 3207."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass(slots=True)
class Taken:
    """A mail as it came."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    user: str | None


@dataclass(slots=True)
class MailServer:
    """What it is like, and what it was given. `refusals`: replies to the next recipients, in order."""

    tls: ssl.SSLContext | None = None  # offers STARTTLS
    accounts: dict[str, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    port: int = 0
    mails: list[Taken] = field(default_factory=list)
    silent: bool = False
    connections: int = 0
    sessions: set[asyncio.Task[None]] = field(default_factory=set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.sessions.add(asyncio.current_task())
        try:
            await (reader.read() if self.silent else _Session(self, reader, writer).run())
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()


class _Session:
    def __init__(self, server: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.user: str | None = None
        self.sender, self.recipients = "", []

    @property
    def encrypted(self) -> bool:
        return self.writer.get_extra_info("sslcontext") is not None

    async def run(self) -> None:
        await self.say("220 mail.test at your service")
        while line := (await self.reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                await self.say("221 goodbye")
                return
            answer = getattr(self, f"on_{verb.lower()}", None)
            await (answer(rest) if answer else self.say("502 what?"))

    async def say(self, *lines: str) -> None:
        code, last = lines[-1][:3], len(lines) - 1
        for place, line in enumerate(lines):
            text = line[4:]
            self.writer.write(f"{code}{' ' if place == last else '-'}{text}\r\n".encode())
        await self.writer.drain()

    async def ask(self, prompt: str) -> str:
        await self.say(f"334 {base64.b64encode(prompt.encode()).decode()}")
        return base64.b64decode(await self.reader.readline()).decode()

    async def on_ehlo(self, _: str) -> None:
        offers = ["250 mail.test"]
        if self.server.tls is not None and not self.encrypted:
            offers.append("250 STARTTLS")
        if self.server.accounts:
            offers.append("250 AUTH PLAIN LOGIN")
        await self.say(*offers)

    async def on_starttls(self, _: str) -> None:
        await self.say("220 go ahead")
        await self.writer.start_tls(self.server.tls)

    async def on_auth(self, rest: str) -> None:
        kind, _, given = rest.partition(" ")
        if kind.upper() == "PLAIN":
            _, user, password = base64.b64decode(given).decode().split("\0")
        else:
            user = base64.b64decode(given).decode() if given else await self.ask("Username:")
            password = await self.ask("Password:")
        if self.server.accounts.get(user) != password:
            await self.say(f"535 no such user: {user}")
            return
        self.user = user
        await self.say("235 welcome")

    async def on_mail(self, rest: str) -> None:
        if self.server.accounts and self.user is None:
            await self.say("530 who are you?")
            return
        self.sender, self.recipients = rest[rest.index("<") + 1 : rest.index(">")], []
        await self.say("250 ok")

    async def on_rcpt(self, rest: str) -> None:
        if self.server.refusals:
            await self.say(self.server.refusals.pop(0))
            return
        self.recipients.append(rest[rest.index("<") + 1 : rest.index(">")])
        await self.say("250 ok")

    async def on_data(self, _: str) -> None:
        await self.say("354 go on")
        data = (await self.reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
        message = email.message_from_bytes(data, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.server.mails.append(Taken(self.sender, self.recipients, message, self.encrypted, self.user))
        await self.say("250 taken")

    async def on_rset(self, _: str) -> None:
        await self.say("250 ok")


@contextlib.asynccontextmanager
async def running_mail_server(
    *, implicit_tls: ssl.SSLContext | None = None, **given: object
) -> AsyncIterator[MailServer]:
    """Yields the server, which knows its port."""
    server = MailServer(**given)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=implicit_tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for session in server.sessions:
            session.cancel()
        await asyncio.gather(*server.sessions)
