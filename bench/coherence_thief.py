"""Somebody who can write to the cache store, and has no secret of the gateway's."""

from redis.asyncio import Redis

PARTS = (b"", b"esmgw:purges", b"esmgw:entry", b"esmgw:changes", b"esmgw:lease")
"""What is put back: all, or the keys that begin so."""


class Thief:
    """Copies what is in the store, puts it back later, writes what it likes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._copies: dict[bytes, bytes] = {}

    async def take_snapshot(self) -> None:
        async with self._client() as client:
            copies = {key: await client.dump(key) async for key in client.scan_iter()}
        self._copies = {key: copy for key, copy in copies.items() if copy is not None}

    async def put_back(self, part: bytes) -> None:
        """Without an end: what is put back stays."""
        async with self._client() as client:
            for key, copy in self._copies.items():
                if key.startswith(part):
                    await client.restore(key, 0, copy, replace=True)

    async def plant(self, key: str, value: bytes | None) -> None:
        """None takes away what is there."""
        async with self._client() as client:
            await (client.delete(key) if value is None else client.set(key, value))

    def _client(self) -> "Redis":
        return Redis(host="127.0.0.1", port=self._port)
