"""The cache's part of HTTP over a real socket: conditional requests, codings, and fields in several lines."""

import aiohttp
import pytest
import zstandard

from tests.flow.harness import BODY, Harness
from tests.web.test_server import AUTH, run

PATH = "/api/v1/generate_tensor"
LONG = {**BODY, "inputs": {"sequence": [0, *([5, 32] * 600), 2]}}


def test_a_304_leaves_the_connection_ready_for_the_next_request() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(url + PATH, json=BODY, headers=AUTH) as first:
            tag, body = first.headers["ETag"], await first.read()
        for _ in range(3):
            async with session.post(url + PATH, json=BODY, headers={**AUTH, "If-None-Match": tag}) as unchanged:
                assert (unchanged.status, await unchanged.read()) == (304, b"")
                assert unchanged.headers["ETag"] == tag
                assert "Content-Length" not in unchanged.headers
            async with session.post(url + PATH, json=BODY, headers=AUTH) as again:
                assert (again.status, await again.read()) == (200, body)

    run(play)


def test_a_body_in_zstd_has_its_own_length_and_says_what_it_is() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(url + PATH, json=LONG, headers={**AUTH, "Accept-Encoding": "identity"}) as plain:
            body = await plain.read()
            assert "Content-Encoding" not in plain.headers
        packed = aiohttp.ClientSession(auto_decompress=False)
        async with packed, packed.post(url + PATH, json=LONG, headers={**AUTH, "Accept-Encoding": "zstd"}) as answer:
            got = await answer.read()
            assert answer.headers["Content-Encoding"] == "zstd"
            assert answer.headers["Content-Type"] == "application/json"
            assert int(answer.headers["Content-Length"]) == len(got) < len(body)
            assert zstandard.decompress(got) == body

    run(play)


@pytest.mark.parametrize(
    "lines, status",
    [
        (["max-age=60", "only-if-cached"], 412),
        (["private", "pool=a/b"], 400),
        (["namespace=nowhere", "max-age=60"], 404),
    ],
)
def test_directives_in_several_lines_all_count(lines: list[str], status: int) -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        fields = [*AUTH.items(), *(("Cache-Control", line) for line in lines)]
        async with session.post(url + PATH, json=BODY, headers=fields) as answer:
            assert answer.status == status
        assert harness.sent() == 0

    run(play)


def test_a_key_in_two_lines_is_no_key() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        fields = [*AUTH.items(), ("Authorization", "Bearer other")]
        async with session.post(url + PATH, json=BODY, headers=fields) as answer:
            assert answer.status == 401

    run(play)
