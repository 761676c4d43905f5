"""Which connections are open, and which one is closed when there is no room for another.

First the oldest idle one on which no key was ever accepted (a head that is only half there is idle), then the oldest
idle one with a key; one with a request in progress never. So a stranger who opens connection after connection loses
their own, and only where every other one is at work the newcomer is turned away.
"""

import asyncio
import select
from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable
from fcntl import ioctl
from termios import FIONREAD
from typing import Protocol

from gateway.core.metrics import CONNECTIONS, CONNECTIONS_CLOSED
from gateway.ports import Meter


class Connection(Protocol):
    """What the table knows of a connection."""

    key_accepted: bool
    address: str

    def drop(self) -> None:
        """Close it now; its descriptor is free a turn of the loop later."""
        ...


class ConnectionTable:
    """One worker's connections, in the order of their last use; each event costs the same whatever their number.

    `room` says how many there may be now; `per_address` bounds those of one address (None: no bound).
    """

    def __init__(self, room: Callable[[], int], per_address: int | None, meter: Meter) -> None:
        self._room, self._per_address, self._meter = room, per_address, meter
        self._strangers: OrderedDict[Connection, None] = OrderedDict()
        self._known: OrderedDict[Connection, None] = OrderedDict()
        self._busy: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self.draining = False
        """Whether every answer closes its connection, because the worker stops."""

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known) + len(self._busy)

    def opened(self, connection: Connection) -> None:
        if self._per_address is not None and self._by_address[connection.address] >= self._per_address:
            self._meter.count(CONNECTIONS_CLOSED, "address")
            connection.drop()
            return
        self._by_address[connection.address] += 1
        self._strangers[connection] = None
        self.trim()
        self._meter.gauge(CONNECTIONS, len(self))

    def begin(self, connection: Connection) -> None:
        """A request has arrived on it."""
        for idle in (self._known, self._strangers):
            if connection in idle:
                del idle[connection]
                self._busy.add(connection)

    def end(self, connection: Connection) -> None:
        """Its answer has been sent."""
        if connection in self._busy:
            self._busy.remove(connection)
            (self._known if connection.key_accepted else self._strangers)[connection] = None

    def closed(self, connection: Connection) -> None:
        if self._remove(connection):
            self._meter.gauge(CONNECTIONS, len(self))

    def trim(self) -> None:
        """Close as many as are too many now."""
        self.make_room(len(self) - self._room())

    def make_room(self, count: int) -> None:
        """Close this many, or as many as are idle; the newest one only where all others are at work."""
        for _ in range(count):
            idle = self._strangers if len(self._strangers) > 1 or not self._known else self._known
            if not idle:
                return
            connection = next(iter(idle))
            self._remove(connection)
            self._meter.count(CONNECTIONS_CLOSED, "room")
            connection.drop()

    def _remove(self, connection: Connection) -> bool:
        if connection in self._busy:
            self._busy.remove(connection)
        elif connection in self._known:
            del self._known[connection]
        elif connection in self._strangers:
            del self._strangers[connection]
        else:
            return False
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        return True


def address_of(transport: asyncio.BaseTransport) -> str:
    """The address of the other end; of a proxy, where one is in front."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def is_closed(transport: asyncio.BaseTransport) -> bool:
    """Whether the other end has closed it and sent nothing. Linux only; elsewhere that is noticed later."""
    if not hasattr(select, "POLLRDHUP"):
        return False
    descriptor, poll = transport.get_extra_info("socket").fileno(), select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    if not poll.poll(0):
        return False
    unread = array("i", [0])
    ioctl(descriptor, FIONREAD, unread)
    return not unread[0]
