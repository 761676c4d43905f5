"""What is told to those who wait for a flight of another process: one connection of this worker that only listens.

It is opened by the first who listens and then kept. A message that is sent while it is broken is lost, so when it
breaks everybody is told to look for himself (an empty message), and the next who listens opens another one. Channels
are left when the last listener goes. Nothing is told for certain: a sender may die without a word, and how long to
wait for one is the listener's business.
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

# RedisClusterException is no RedisError.
FOREIGN = (RedisError, RedisClusterException, OSError, TimeoutError)
# A connection that takes nothing for this long is given up.
WRITE_S = 5.0

Open = Callable[[], Awaitable[PubSub]]


class PubSubClient:
    """The listeners of one worker on one store."""

    def __init__(self, open_line: Open) -> None:
        self._open_line = open_line
        self._line: PubSubConnection | None = None

    async def subscribe(self, channel: str, timeout_s: float) -> "asyncio.Future[bytes]":
        """Set by the first message after this has returned; StoreUnavailable where that takes too long."""
        if self._line is None or self._line.ended:
            self._line = PubSubConnection(self._open_line)
        line = self._line
        heard = line.add(channel)
        try:
            await with_deadline(timeout_s, line.subscribed(channel))
        except TimeoutError:
            # It may be broken without our knowing; if it is only slow, everybody looks for himself once.
            line.end()
        except BaseException:
            line.drop(channel, heard)
            raise
        if line.ended:
            raise StoreUnavailable("listen")
        return heard

    def unsubscribe(self, channel: str, heard: "asyncio.Future[bytes]") -> None:
        if self._line is not None:
            self._line.drop(channel, heard)

    async def close(self) -> None:
        if self._line is not None:
            self._line.end()
            await self._line.closed()


class PubSubConnection:
    """One connection, from its opening to its end. Everybody who listens on it is told of its end."""

    def __init__(self, open_line: Open) -> None:
        self.ended = False
        self._open_line = open_line
        self._listeners: dict[str, set[asyncio.Future[bytes]]] = {}
        self._subscribed: dict[str, asyncio.Future[None]] = {}
        # How many confirmations are still to come: only the last one speaks of what was asked for last.
        self._unconfirmed: Counter[str] = Counter()
        self._orders: list[tuple[bool, str]] = []
        self._ordered, self._opened = asyncio.Event(), asyncio.Event()
        self._work = asyncio.get_running_loop().create_task(self._run())

    def add(self, channel: str) -> "asyncio.Future[bytes]":
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[bytes] = loop.create_future()
        if channel not in self._listeners:
            self._listeners[channel] = set()
            self._subscribed[channel] = loop.create_future()
            self._unconfirmed[channel] += 1
            self._order(True, channel)
        self._listeners[channel].add(heard)
        return heard

    def drop(self, channel: str, heard: "asyncio.Future[bytes]") -> None:
        listeners = self._listeners.get(channel)
        if listeners is None or heard not in listeners:
            return
        listeners.remove(heard)
        if not listeners:
            del self._listeners[channel], self._subscribed[channel]
            self._order(False, channel)

    async def subscribed(self, channel: str) -> None:
        await asyncio.shield(self._subscribed[channel])

    def end(self) -> None:
        self._tell_the_end()
        self._work.cancel()

    async def closed(self) -> None:
        await asyncio.gather(self._work, return_exceptions=True)

    def _order(self, join: bool, channel: str) -> None:
        self._orders.append((join, channel))
        self._ordered.set()

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(WRITE_S):
                line = await self._open_line()
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._write(line))
                    both.create_task(self._read(line))
            finally:
                await line.aclose()  # type: ignore[no-untyped-call]  # redis-py has not typed it
        except* FOREIGN:
            pass
        finally:
            self._tell_the_end()

    async def _write(self, line: PubSub) -> None:
        """Orders that came in the same moment travel together."""
        # To write may swallow a cancellation (asyncio.wait_for of Python 3.11, within redis-py), so `ended` counts too.
        while not self.ended and await self._ordered.wait():
            self._ordered.clear()
            orders, self._orders = self._orders, []
            for join, group in groupby(orders, key=lambda order: order[0]):
                channels = [channel for _, channel in group]
                async with asyncio.timeout(WRITE_S):
                    await (line.subscribe(*channels) if join else line.unsubscribe(*channels))
            self._opened.set()

    async def _read(self, line: PubSub) -> None:
        try:
            await self._opened.wait()
            while not self.ended:
                self._take(await line.get_message(timeout=None))
        finally:
            self._tell_the_end()

    def _take(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        channel = message["channel"].decode()
        if message["type"] == "message":
            for heard in self._listeners.get(channel, ()):
                _resolve(heard, message["data"])
        elif message["type"] == "subscribe":
            self._confirmed(channel)

    def _confirmed(self, channel: str) -> None:
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
            if channel in self._subscribed:
                _resolve(self._subscribed[channel], None)

    def _tell_the_end(self) -> None:
        self.ended = True
        for joined in self._subscribed.values():
            _resolve(joined, None)
        for listeners in self._listeners.values():
            for heard in listeners:
                _resolve(heard, b"")
        self._listeners.clear()
        self._subscribed.clear()


def _resolve(future: "asyncio.Future[T]", value: T) -> None:
    """The first value counts; a subscriber who has gone away wants none."""
    if not future.done():
        future.set_result(value)
