"""Voices are listed as each provider lists them: what cannot be made out is left out, and nothing is unbounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.http import Http
from adapters.portable import MOST_VOICES, Voice, read_voices
from adapters.provider import Provider
from tests.adapters.loopback import Asked, reply, serving
from tests.adapters.refusals import KEY
from tests.support.adapters import bland_at, elevenlabs_at, retell_at

pytestmark = pytest.mark.anyio

SAMPLE = "https://samples.example/adrian.mp3"


def retell(http: Http, url: str) -> Provider[Any]:
    return retell_at(http, url, "sip.retellai.com")


def bland(http: Http, url: str) -> Provider[Any]:
    return bland_at(http, url, "sip.bland.ai")


CASES = {
    "retell": (
        retell,
        "/list-voices",
        [
            {"voice_id": "11labs-Adrian", "voice_name": "Adrian", "gender": "male", "accent": "American", "age": None}
            | {"provider": "elevenlabs", "preview_audio_url": SAMPLE},
            {"voice_name": "without an id"},
        ],
        Voice("Adrian", {"voice_id": "11labs-Adrian"}, "male, American, elevenlabs", SAMPLE),
    ),
    "elevenlabs": (
        elevenlabs_at,
        "/v2/voices?page_size=100",
        {
            "voices": [
                {"voice_id": "cj1", "name": "Eric", "labels": {"gender": "male", "accent": "american"}}
                | {"preview_url": SAMPLE},
                {"name": "without an id"},
            ],
            "has_more": False,
        },
        Voice("Eric", {"voice_id": "cj1"}, "male, american", SAMPLE),
    ),
    "bland": (
        bland,
        "/v1/voices",
        {"voices": [{"id": "ff2c", "name": "maya", "description": "Young", "tags": ["Bland Curated", 7]}, {"id": "a"}]},
        Voice("maya", {"voice": "maya"}, "Young, Bland Curated"),
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_voice_is_listed_with_the_settings_that_choose_it(http: Http, name: str):
    at, path, answer, voice = CASES[name]
    async with serving(reply(200, answer)) as server:
        provider = at(http, server.url)
        assert await provider.list_voices(provider.open(KEY, 5)) == [voice]
    assert (server.last.method, server.last.target) == ("GET", path)


@pytest.mark.parametrize("name", CASES)
async def test_a_list_that_is_none_is_an_error(http: Http, name: str):
    at, *_ = CASES[name]
    async with serving(reply(200, {"voices": "none"})) as server:
        provider = at(http, server.url)
        with pytest.raises(ProviderError) as caught:
            await provider.list_voices(provider.open(KEY, 5))
    assert caught.value.kind is ErrorKind.MALFORMED_REPLY


async def test_a_workspace_with_more_voices_than_a_page_has_shows_them_all(http: Http):
    def page(name: str, token: str) -> dict[str, Any]:
        return {"voices": [{"voice_id": name, "name": name}], "has_more": True, "next_page_token": token}

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        answer = page("Bob", "end") if "next_page_token=more" in asked.target else page("Eric", "more")
        await reply(200, answer | ({"has_more": False} if answer["next_page_token"] == "end" else {}))(asked, writer)

    async with serving(script) as server:
        provider = elevenlabs_at(http, server.url)
        voices = await provider.list_voices(provider.open(KEY, 5))
    assert [voice.name for voice in voices] == ["Eric", "Bob"]


async def test_a_list_without_an_end_is_read_to_its_bound(http: Http):
    async with serving(reply(200, {"voices": [], "has_more": True, "next_page_token": "again"})) as server:
        provider = elevenlabs_at(http, server.url)
        assert await provider.list_voices(provider.open(KEY, 5)) == []
    assert len(server.asked) == 2


def test_texts_and_their_number_are_bounded_and_samples_are_https():
    voice = Voice("n" * 200, {}, "a" * 1000, "http://samples.example/a.mp3")
    voices = read_voices([{}] * (MOST_VOICES + 1), lambda _: voice)
    assert len(voices) == MOST_VOICES
    assert (len(voices[0].name), len(voices[0].about), voices[0].preview) == (100, 300, None)


def test_a_voice_whose_settings_would_have_to_be_cut_is_left_out():
    known, endless = Voice("Eric", {"voice_id": "cj1"}), Voice("Bob", {"voice_id": "c" * 1000})
    voices = iter([known, endless])
    assert read_voices([{}] * 2, lambda _: next(voices)) == [known]
