"""A message from the caller's mouth to the client's mail: at once, and also if the database was away meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.sandbox.carrier import Script
from tests.support.database_proxy import proxied
from tests.support.mail_server import running_mail_server
from tests.support.waiting import wait_until
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio


async def are_delivered(world: World, count: int) -> bool:
    return await world.db.fetchval("SELECT count(*) FROM call_events WHERE event = 'voicemail.delivered'") == count


async def test_each_message_is_mailed_once_with_what_it_says(database_dsn: str, tmp_path: Path):
    async with (
        running_mail_server() as server,
        proxied(database_dsn) as proxy,
        open_world(
            database_dsn,
            tmp_path,
            jobs=True,
            database_url=SecretStr(proxy.dsn),
            smtp_url=SecretStr(f"smtp://127.0.0.1:{server.port}"),
            mail_from="calls@example.com",
        ) as world,
    ):
        client = await world.add_client(routing={"mode": "voicemail"})
        await world.db.execute("UPDATE clients SET notify_email = 'owner@example.com', notify_email_confirmed = true")
        await world.call(client, Script(message_says="The first one."))
        await wait_until(lambda: are_delivered(world, 1))

        proxy.refuse()
        await world.call(client, Script(message_says="While the database was away."))
        proxy.go_on()
        await wait_until(lambda: world.db.fetchval("SELECT count(*) = 2 FROM transcripts WHERE said IS NOT NULL"))
        await world.call(client, Script(message_says="The last one."))
        await wait_until(lambda: are_delivered(world, 3))

        texts = [mail.message.get_body(("plain",)).get_content() for mail in server.mails]
        for said in ("The first one.", "While the database was away.", "The last one."):
            assert sum(said in text for text in texts) == 1
        assert all(len(list(mail.message.iter_attachments())) == 1 for mail in server.mails)
