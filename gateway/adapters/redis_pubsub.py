"""Redis pub/sub for those who wait for a flight of another process: one subscribed connection per worker and store.

The first subscriber opens it, and then it stays open. A message published while it is broken is lost; so when it
breaks, every subscriber gets an empty message and looks for itself, and the next one opens a new connection. A channel
is unsubscribed when its last subscriber leaves. Delivery is not guaranteed: a publisher may die before it publishes,
and how long to wait is the subscriber's decision.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Any, TypeVar

from redis.asyncio.client import PubSub
from redis.exceptions import RedisClusterException, RedisError

from gateway.adapters.redis_pipelining import with_deadline
from gateway.ports import StoreUnavailable

T = TypeVar("T")

# RedisClusterException is not a RedisError.
CLIENT_ERRORS = (RedisError, RedisClusterException, OSError, TimeoutError)
# A connection on which nothing can be sent for this long is closed.
SEND_TIMEOUT_S = 5.0

OpenConnection = Callable[[], Awaitable[PubSub]]


class PubSubClient:
    """The subscriptions of one worker on one store."""

    def __init__(self, open_connection: OpenConnection) -> None:
        self._open_connection = open_connection
        self._connection: PubSubConnection | None = None

    async def subscribe(self, channel: str, timeout_s: float) -> "asyncio.Future[bytes]":
        """Gets the first message after this has returned. Raises StoreUnavailable where subscribing takes too long."""
        if self._connection is None or self._connection.closed:
            self._connection = PubSubConnection(self._open_connection)
        connection = self._connection
        message = connection.add_subscriber(channel)
        try:
            await with_deadline(timeout_s, connection.wait_confirmed(channel))
        except TimeoutError:
            # It may be broken unnoticed; if it is only slow, every subscriber looks for itself once.
            connection.close()
        except BaseException:
            connection.remove_subscriber(channel, message)
            raise
        if connection.closed:
            raise StoreUnavailable("listen", "disconnected")
        return message

    def unsubscribe(self, channel: str, message: "asyncio.Future[bytes]") -> None:
        if self._connection is not None:
            self._connection.remove_subscriber(channel, message)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()


class PubSubConnection:
    """One connection, from opening to closing. When it closes, every subscriber gets an empty message."""

    def __init__(self, open_connection: OpenConnection) -> None:
        self.closed = False
        self._open_connection = open_connection
        self._subscribers: dict[str, set[asyncio.Future[bytes]]] = {}
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        # Confirmations still to come, by channel: only the last one confirms the last subscription.
        self._unconfirmed: Counter[str] = Counter()
        self._requests: list[tuple[bool, str]] = []
        self._requested, self._opened = asyncio.Event(), asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add_subscriber(self, channel: str) -> "asyncio.Future[bytes]":
        loop = asyncio.get_running_loop()
        message: asyncio.Future[bytes] = loop.create_future()
        if channel not in self._subscribers:
            self._subscribers[channel] = set()
            self._confirmed[channel] = loop.create_future()
            self._unconfirmed[channel] += 1
            self._request(True, channel)
        self._subscribers[channel].add(message)
        return message

    def remove_subscriber(self, channel: str, message: "asyncio.Future[bytes]") -> None:
        subscribers = self._subscribers.get(channel)
        if subscribers is None or message not in subscribers:
            return
        subscribers.remove(message)
        if not subscribers:
            del self._subscribers[channel], self._confirmed[channel]
            self._request(False, channel)

    async def wait_confirmed(self, channel: str) -> None:
        await asyncio.shield(self._confirmed[channel])

    def close(self) -> None:
        self._notify_closed()
        self._task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(self._task, return_exceptions=True)

    def _request(self, subscribe: bool, channel: str) -> None:
        self._requests.append((subscribe, channel))
        self._requested.set()

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                connection = await self._open_connection()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._write(connection))
                    group.create_task(self._read(connection))
            finally:
                await connection.aclose()  # type: ignore[no-untyped-call]  # redis-py has not typed it
        except* CLIENT_ERRORS:
            pass
        finally:
            self._notify_closed()

    async def _write(self, connection: PubSub) -> None:
        """Requests of the same moment are sent as one command."""
        # Sending may swallow a cancellation (wait_for in redis-py on Python 3.11), so `closed` is checked, too.
        while not self.closed and await self._requested.wait():
            self._requested.clear()
            requests, self._requests = self._requests, []
            for subscribe, batch in groupby(requests, key=lambda request: request[0]):
                channels = [channel for _, channel in batch]
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await (connection.subscribe(*channels) if subscribe else connection.unsubscribe(*channels))
            self._opened.set()

    async def _read(self, connection: PubSub) -> None:
        try:
            await self._opened.wait()
            while not self.closed:
                self._on_message(await connection.get_message(timeout=None))
        finally:
            self._notify_closed()

    def _on_message(self, reply: dict[str, Any] | None) -> None:
        if reply is None:
            return
        channel = reply["channel"].decode()
        if reply["type"] == "message":
            for message in self._subscribers.get(channel, ()):
                _resolve(message, reply["data"])
        elif reply["type"] == "subscribe":
            self._on_confirmation(channel)

    def _on_confirmation(self, channel: str) -> None:
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
            if channel in self._confirmed:
                _resolve(self._confirmed[channel], None)

    def _notify_closed(self) -> None:
        self.closed = True
        for confirmed in self._confirmed.values():
            _resolve(confirmed, None)
        for subscribers in self._subscribers.values():
            for message in subscribers:
                _resolve(message, b"")
        self._subscribers.clear()
        self._confirmed.clear()


def _resolve(future: "asyncio.Future[T]", value: T) -> None:
    """The first value counts; a subscriber who has gone away wants none."""
    if not future.done():
        future.set_result(value)
