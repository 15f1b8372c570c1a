"""GET /v1/agencies/{agency}/voices/{provider}: what the provider lists for the agency's key."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import BLAND_KEY, RETELL_KEY

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("provider", "key", "settings"),
    [("retell", RETELL_KEY, {"voice_id": "11labs-Adrian"}), ("bland", BLAND_KEY, {"voice": "maya"})],
)
async def test_voices_are_asked_for_with_the_agency_s_key(api, provider, key, settings):
    agency = await api.new_agency()
    path = f"{agency.path}/voices/{provider}"
    assert (await api.refusal("GET", path, token=agency.token)).name == "no-key"
    await api.put(f"{agency.path}/keys/{provider}", {"key": key})
    first, *_ = (await api.get(path, token=agency.token))["items"]
    assert first["settings"] == settings
    other = await api.new_agency()
    assert (await api.refusal("GET", path, token=other.token)).status == 404
