from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crypto import Secret
from router.store.tenants.agencies import Agency, delete_agency, insert_agency
from router.store.tenants.tokens import Token, find_token, insert_token

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


async def test_a_token_is_found_only_by_its_text_and_is_deleted_with_its_agency(database):
    pool = database.settings
    await insert_agency(pool, Agency("agency_a", "A", None, None, None, None, NOW))
    token = Token("token_1", "agency_a", "Laptop", "full", "admin", NOW)
    await insert_token(pool, token, Secret("the-text"))
    assert await find_token(pool, Secret("the-text"), NOW) == token
    assert await find_token(pool, Secret("the-text "), NOW) is None
    assert await find_token(pool, Secret("token_1"), NOW) is None
    await delete_agency(pool, "agency_a")
    assert await find_token(pool, Secret("the-text"), NOW) is None
