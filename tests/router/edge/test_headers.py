"""Headers that protect browsers are on every answer, whoever gives it."""

from __future__ import annotations

import pytest

from tests.router.edge.conftest import Serve

pytestmark = pytest.mark.anyio

ANSWERS = {
    "an answer": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "a failure": b"GET /broken HTTP/1.1\r\nConnection: close\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "too many headers": b"GET / HTTP/1.1\r\n" + b"x: 1\r\n" * 200,
    "too slow": b"GET / HTTP/1.1\r\n",
}
NO_SNIFFING = b"\r\nx-content-type-options: nosniff\r\n"
HTTPS_ONLY = b"\r\nstrict-transport-security: max-age=31536000\r\n"


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("is_https", [True, False])
async def test_they_are_there_once(serve: Serve, what: str, is_https: bool):
    async with serve(is_https=is_https, header_timeout=0.1) as edge:
        connection = await edge.open(ANSWERS[what])
        answer = await connection.read_to_end()
        assert answer.count(NO_SNIFFING) == 1
        assert answer.count(HTTPS_ONLY) == is_https
