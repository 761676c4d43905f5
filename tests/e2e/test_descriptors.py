"""A real worker with few descriptors and a stranger with many connections: everybody with a key is served."""

import asyncio
import resource
from pathlib import Path

import aiohttp

from gateway.adapters.descriptors import raise_soft_limit
from tests.e2e.product import BODY, PATH, Product, demo, until

NOFILE, STRANGERS = 300, 600
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthor".encode()
REFUSED = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer esmgw_no\r\nContent-Length: 2\r\n\r\n{{}}".encode()


async def opened(product: Product, count: int, *sent: bytes) -> list[asyncio.StreamWriter]:
    host, port = product.url.removeprefix("http://").split(":")
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection(host, int(port))
        writers.append(writer)
        for part in sent:
            writer.write(part)
    return writers


def call(n: int, **changes: object) -> dict[str, object]:
    """A call that nobody has asked before."""
    return {**BODY, "inputs": {"sequence": [0, 20, 32, *(4 + n // 20**i % 20 for i in range(3)), 2]}, **changes}


async def told(session: aiohttp.ClientSession, product: Product, body: dict[str, object], key: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {product.said[key]}"}
    async with session.post(product.url + PATH, json=body, headers=headers) as response:
        await response.read()
        return response.status, response.headers.get("Cache-Status", "")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def attacked(product: Product, first_call: int, sent: tuple[bytes, ...]) -> None:
    (worker,) = product.workers()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as kept:
        assert (await told(kept, product, call(first_call), "key"))[0] == 200
        strangers = await opened(product, STRANGERS, *sent)
        for n in range(5):
            status, how = await told(kept, product, call(first_call), "key")
            assert (status, "hit" in how) == (200, True)
            assert (await told(kept, product, call(first_call + 1 + n), "key"))[0] == 200
            flagged = call(first_call + 1 + n, potential_sequence_of_concern=True)
            assert (await told(kept, product, flagged, "approved_key"))[0] == 200
            async with aiohttp.ClientSession() as fresh:
                assert (await told(fresh, product, call(first_call + 10 + n), "key"))[0] == 200
        assert descriptors(worker) < NOFILE
        for writer in strangers:
            writer.transport.abort()


def test_six_hundred_idle_strangers_at_three_hundred_descriptors_cost_nobody_an_answer(tmp_path: Path) -> None:
    raise_soft_limit()
    with demo(tmp_path / "data", "--workers", "1") as product:
        (worker,) = product.workers()
        hard = raise_soft_limit()
        assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == resource.prlimit(0, resource.RLIMIT_NOFILE)
        assert hard > 1024
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (NOFILE, NOFILE))
        for number, sent in enumerate(((), (HALF,), (REFUSED,), (LIVE,))):
            asyncio.run(attacked(product, 100 * number, sent))


def test_a_worker_without_any_descriptor_left_goes_on_and_is_itself_again_a_moment_later(tmp_path: Path) -> None:
    """The reserve is gone, too, and accepting fails: the worker neither ends nor spins, and closes idle ones."""
    with demo(tmp_path / "data", "--workers", "1") as product:
        (worker,) = product.workers()

        async def is_served() -> bool:
            try:
                async with aiohttp.ClientSession() as session:
                    return (await told(session, product, call(1), "key"))[0] == 200
            except aiohttp.ClientError:
                return False

        async def whole() -> None:
            strangers = await opened(product, 60)
            await asyncio.sleep(0)
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (descriptors(worker) - 5, NOFILE))
            strangers += await opened(product, 20)
            assert await until(is_served, seconds=5.0) < 5.0
            for writer in strangers:
                writer.transport.abort()

        asyncio.run(whole())
        assert product.workers() == [worker]
        assert product.process.poll() is None
