"""`/gateway/v1/*` over a real socket: what there is, for whom, and what is left in the log and the numbers."""

from pathlib import Path

import aiohttp
import pytest

from gateway.core.metrics import REQUESTS
from gateway.web.gateway_api import ROUTES
from tests.flow.harness import BODY, Harness
from tests.web.test_server import AUTH, run

EXPLAIN, RECEIPTS = "/gateway/v1/explain", "/gateway/v1/receipts/"


def test_an_explanation_is_json_that_nobody_else_may_keep() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(url + EXPLAIN, json=BODY, headers=AUTH) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/json"
            assert response.headers["Cache-Control"] == "private, no-store"
            assert response.headers["X-Request-Id"]
            about = await response.json()
        assert (about["class"], about["units"], about["stored"]) == ("exact", 10, True)
        assert harness.memory.upstream.requests == []

    run(play)


def test_a_receipt_is_found_by_the_identifier_that_an_answer_had() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(f"{url}/api/v1/generate_tensor", json=BODY, headers=AUTH) as response:
            identifier = response.headers["X-Gateway-Receipt"]
        async with session.get(url + RECEIPTS + identifier, headers=AUTH) as response:
            assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
            assert (await response.json())["receipt"] == identifier
        async with session.head(url + RECEIPTS + identifier, headers=AUTH) as response:
            assert (response.status, await response.read()) == (200, b"")

    run(play)


def test_a_signed_statement_of_a_receipt_is_checked_where_it_was_made(tmp_path: Path) -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(f"{url}/api/v1/generate_tensor", json=BODY, headers=AUTH) as response:
            identifier = response.headers["X-Gateway-Receipt"]
        async with session.get(f"{url}{RECEIPTS}{identifier}?signed", headers=AUTH) as response:
            told = await response.json()
        async with session.get(f"{url}/gateway/v1/statements/{told['statement']}", headers=AUTH) as response:
            found = await response.json()
        assert (found["genuine"], found["signer"], found["receipt"]["receipt"]) == (True, "own", identifier)
        async with session.get(f"{url}/gateway/v1/signing-key", headers=AUTH) as response:
            assert await response.json() == {"public_key": told["public_key"], "trusted": []}
        assert harness.memory.meter.counts[(REQUESTS.name, "receipts", "answered")] == 3

    run(play, settings={"data_dir": str(tmp_path)})


@pytest.mark.parametrize(
    "method, path, headers, status, slug",
    [
        ("POST", EXPLAIN, {}, 401, "key-refused"),
        ("GET", EXPLAIN, AUTH, 405, "wrong-method"),
        ("POST", EXPLAIN + "?endpoint=none", AUTH, 422, "call-invalid"),
        ("POST", EXPLAIN + "/more", AUTH, 404, "unknown-path"),
        ("GET", RECEIPTS + "abc", {}, 401, "key-refused"),
        ("GET", RECEIPTS + "abc", AUTH, 404, "unknown-receipt"),
        ("GET", RECEIPTS + "abc/%20", AUTH, 404, "unknown-receipt"),
        ("GET", RECEIPTS, AUTH, 404, "unknown-path"),
        ("POST", RECEIPTS + "abc", AUTH, 405, "wrong-method"),
        ("GET", RECEIPTS + "abc?signed", AUTH, 404, "unknown-receipt"),
        ("GET", RECEIPTS + "abc?signed=no", AUTH, 422, "call-invalid"),
        ("GET", "/gateway/v1/statements", AUTH, 404, "unknown-path"),
        ("GET", "/gateway/v1/statements/", AUTH, 404, "unknown-path"),
        ("GET", "/gateway/v1/statements/abc", {}, 401, "key-refused"),
        ("POST", "/gateway/v1/statements/abc", AUTH, 405, "wrong-method"),
        ("GET", "/gateway/v1/signing-key", {}, 401, "key-refused"),
        ("GET", "/gateway/v1/signing-key/more", AUTH, 404, "unknown-path"),
        ("GET", "/gateway/v1/", AUTH, 404, "unknown-path"),
        ("GET", "/gateway/v2/explain", AUTH, 404, "unknown-path"),
    ],
)
def test_what_is_not_there_or_not_allowed_is_a_problem(
    method: str, path: str, headers: dict[str, str], status: int, slug: str
) -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        body = BODY if method == "POST" else None
        async with session.request(method, url + path, json=body, headers=headers) as response:
            assert response.status == status
            assert response.headers["Content-Type"] == "application/problem+json"
            assert (await response.json(content_type=None))["type"] == f"urn:esm-gateway:problem:{slug}"
            assert ("Allow" in response.headers) == (status == 405)

    run(play)


def test_a_body_over_the_limit_is_not_explained() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        headers = {**AUTH, "Content-Type": "application/json"}
        async with session.post(url + EXPLAIN, data=b" " * 20_001, headers=headers) as response:
            assert response.status == 413

    run(play, settings={"request": {"max_body_bytes": 20_000}})


def test_explanations_are_counted_and_logged_without_what_was_sent() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(url + EXPLAIN, json=BODY, headers=AUTH) as response:
            await response.read()
        async with session.get(url + RECEIPTS + "abc", headers=AUTH) as response:
            await response.read()
        assert harness.memory.meter.counts[(REQUESTS.name, "explain", "answered")] == 1
        assert harness.memory.meter.counts[(REQUESTS.name, "receipts", "unknown-receipt")] == 1
        lines = harness.memory.access.lines
        told = [(line["endpoint"], line["outcome"], line["user"]) for line in lines]
        assert told == [("explain", "answered", "ada"), ("receipts", "unknown-receipt", "ada")]
        assert not {"units", "cls"} & {name for line in lines for name in line}

    run(play)


def test_what_is_here_is_listed_on_the_first_page() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(url + "/") as response:
            assert (await response.json())["gateway"] == list(ROUTES)

    run(play)
