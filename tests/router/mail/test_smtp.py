"""Mails on their way to a server, with and without encryption; and what is said when one is not taken."""

from __future__ import annotations

import pytest

from router.mail import Attachment, Mail, Mailer, MailError, SmtpUrlError, read_smtp_url, sender_mistake
from tests.adapters.certificates import make_certificate
from tests.support.mail_server import running_mail_server

pytestmark = pytest.mark.anyio

PASSWORD = "canary p@ss/word 7f1e"
QUOTED = "canary%20p%40ss%2Fword%207f1e"
ACCOUNTS = {"calls@example.com": PASSWORD}
MAIL = Mail("letter_1", "owner@agency.test", "Key refused – please look", "Grüße,\n.\ncallrouter\n")


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


def mailer(url, trust=None):
    return Mailer(read_smtp_url(url), "Calls <calls@example.com>", tls=trust)


async def test_a_mail_arrives_as_it_was_written():
    async with running_mail_server() as server:
        await mailer(f"smtp://127.0.0.1:{server.port}").send(MAIL)
    (taken,) = server.mails
    assert (taken.sender, taken.recipients, taken.user) == ("calls@example.com", ["owner@agency.test"], None)
    assert taken.message["From"] == "Calls <calls@example.com>"
    assert taken.message["Subject"] == MAIL.subject
    assert taken.message["Message-ID"] == "<letter_1@example.com>"
    assert taken.message["Auto-Submitted"] == "auto-generated"
    assert taken.message.get_content().replace("\r\n", "\n") == MAIL.text


async def test_a_voicemail_goes_along():
    sound = bytes(range(256)) * 20
    mail = Mail(
        "letter_2", "owner@agency.test", "A message", "Listen.", (Attachment("message.mp3", "audio/mpeg", sound),)
    )
    async with running_mail_server() as server:
        await mailer(f"smtp://127.0.0.1:{server.port}").send(mail)
    (attached,) = server.mails[0].message.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("message.mp3", "audio/mpeg")
    assert attached.get_content() == sound


async def test_what_can_be_encrypted_is(contexts):
    async with running_mail_server(tls=contexts.server) as server:
        await mailer(f"smtp://127.0.0.1:{server.port}", contexts.trusting).send(MAIL)
    assert server.mails[0].encrypted


async def test_user_and_password_over_a_connection_that_is_encrypted_from_the_start(contexts):
    async with running_mail_server(implicit_tls=contexts.server, accounts=ACCOUNTS) as server:
        url = f"smtps://calls%40example.com:{QUOTED}@127.0.0.1:{server.port}"
        await mailer(url, contexts.trusting).send(MAIL)
    assert (server.mails[0].user, server.mails[0].encrypted) == ("calls@example.com", True)


async def test_a_password_does_not_travel_in_the_clear(contexts):
    """The server offers no encryption: then the mail waits, rather than the password being read on its way."""
    async with running_mail_server(accounts=ACCOUNTS) as server:
        url = f"smtp://calls%40example.com:{QUOTED}@127.0.0.1:{server.port}?starttls=always"
        with pytest.raises(MailError) as caught:
            await mailer(url, contexts.trusting).send(MAIL)
    assert not caught.value.final
    assert server.mails == []


async def test_a_server_with_an_untrusted_certificate_gets_no_mail(contexts):
    async with running_mail_server(tls=contexts.server, accounts=ACCOUNTS) as server:
        url = f"smtp://calls%40example.com:{QUOTED}@127.0.0.1:{server.port}?starttls=always"
        with pytest.raises(MailError):
            await mailer(url).send(MAIL)
    assert server.mails == []


@pytest.mark.parametrize(
    ("reply", "final"), [("550 no such person", True), ("452 mailbox full", False), ("421 busy", False)]
)
async def test_whether_another_try_would_help(reply, final):
    async with running_mail_server(refusals=[reply]) as server:
        with pytest.raises(MailError) as caught:
            await mailer(f"smtp://127.0.0.1:{server.port}").send(MAIL)
    assert caught.value.final is final
    assert caught.value.code == int(reply[:3])


async def test_a_wrong_password_is_reported_without_quoting_it():
    async with running_mail_server(accounts={"calls@example.com": "another"}) as server:
        url = f"smtp://calls%40example.com:{QUOTED}@127.0.0.1:{server.port}"
        with pytest.raises(MailError) as caught:
            await mailer(url).send(MAIL)
    assert caught.value.kind == "login_refused"
    assert caught.value.__cause__ is None
    assert "calls@" not in f"{caught.value!r} {caught.value.args}"
    assert PASSWORD not in repr(read_smtp_url(url))


async def test_a_server_that_is_away_or_silent_is_asked_again_later(monkeypatch):
    monkeypatch.setattr("router.mail.smtp._SECONDS", 0.2)
    async with running_mail_server(silent=True) as silent:
        for port in (1, silent.port):
            with pytest.raises(MailError) as caught:
                await mailer(f"smtp://127.0.0.1:{port}").send(MAIL)
            assert not caught.value.final


async def test_an_address_or_subject_cannot_add_headers():
    async with running_mail_server() as server:
        for mail in (
            Mail("letter", "owner@agency.test\r\nBcc: all@example.com", "Hello", ""),
            Mail("letter", "owner@agency.test", "Hello\r\nBcc: all@example.com", ""),
        ):
            with pytest.raises(MailError):
                await mailer(f"smtp://127.0.0.1:{server.port}").send(mail)
    assert server.mails == []


async def test_internationalised_domains_are_sent_as_mail_servers_know_them():
    async with running_mail_server() as server:
        url = read_smtp_url(f"smtp://127.0.0.1:{server.port}")
        await Mailer(url, "Anrufe <anrufe@münchen.example>").send(Mail("letter_3", "info@straße.example", "Hallo", ""))
    (taken,) = server.mails
    assert (taken.sender, taken.recipients) == ("anrufe@xn--mnchen-3ya.example", ["info@xn--strae-oqa.example"])
    assert taken.message["From"] == "Anrufe <anrufe@xn--mnchen-3ya.example>"
    assert taken.message["Message-ID"] == "<letter_3@xn--mnchen-3ya.example>"


@pytest.mark.parametrize("to", ["a,b@example.com", '"a@example.com', "owner@☃.example", "owner"])
async def test_an_address_that_cannot_be_written_is_not_tried_again(to):
    with pytest.raises(MailError) as caught:
        await mailer("smtp://127.0.0.1:1").send(Mail("letter", to, "Hello", ""))
    assert (caught.value.kind, caught.value.final) == ("unsendable", True)
    assert to not in caught.value.words


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:port",
        "smtp://mail.example.com/inbox",
        f"smtp://{QUOTED}@mail.example.com",
        f"smtp://calls:{QUOTED}@mail.example.com?starttls=maybe",
        f"smtp://calls:{QUOTED}@mail.example.com?tls=on",
        f"smtp://calls:{QUOTED}@[mail.example.com",
    ],
)
def test_a_wrong_address_is_refused_and_not_repeated(url):
    with pytest.raises(SmtpUrlError) as caught:
        read_smtp_url(url)
    assert "canary" not in str(caught.value)


def test_ports_and_encryption_where_nothing_is_said():
    assert [
        (server.port, server.encrypted, server.start_tls)
        for server in map(
            read_smtp_url,
            (
                "smtp://mail.example.com",
                "smtps://mail.example.com",
                "smtp://calls:secret@mail.example.com",
                "smtp://calls:secret@localhost",
                "smtp://calls:secret@mail.example.com:25?starttls=never",
            ),
        )
    ] == [(587, False, "auto"), (465, True, "auto"), (587, False, "always"), (587, False, "auto"), (25, False, "never")]


@pytest.mark.parametrize("sender", ["callrouter", "a@b.test, c@d.test", "a@b.test\nBcc: c@d.test", "Calls <>", ""])
def test_a_sender_that_is_no_address(sender):
    assert sender_mistake(sender)


@pytest.mark.parametrize("sender", ["calls@example.com", "Calls <calls@example.com>"])
def test_a_sender(sender):
    assert sender_mistake(sender) is None
