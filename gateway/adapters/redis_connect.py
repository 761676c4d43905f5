"""Clients of Redis or Valkey: single server, Sentinel or Cluster. The client's errors become StoreUnavailable here.

One deadline covers an operation: waiting for a connection, connecting, sending and receiving. No command is sent twice:
one whose reply was lost may have been executed, and executing it again could charge twice. (Redirections of a cluster
are followed: the node that redirects has executed nothing.) What to do without a store, and when to try it again, is
decided elsewhere.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from importlib import resources
from math import isfinite
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from gateway.adapters.redis_faults import detail_of, fault_of
from gateway.adapters.redis_pipelining import AutoPipeline
from gateway.adapters.redis_preflight import ServerCheck
from gateway.adapters.redis_pubsub import CLIENT_ERRORS, PubSubClient
from gateway.adapters.redis_sentinel import SentinelGroup
from gateway.adapters.redis_url import StoreAddress, parse_address
from gateway.core.store_faults import StoreFault, StoreName
from gateway.ports import StoreUnavailable

# For a cluster's client to fetch the topology again, in the background of any number of operations.
TOPOLOGY_S = 5.0

Word = str | bytes | int


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the digest that servers know it by."""

    text: str
    digest: str


def load_script(name: str) -> Script:
    """`lua/<name>.lua`."""
    text = resources.files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")
    # EVALSHA uses SHA-1; nothing relies on it for security.
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def connect(
    url: str,
    *,
    timeout_s: float,
    name: str,
    password: str | None = None,
    sentinel_password: str | None = None,
    role: StoreName | None = None,
    max_connections: int = 64,
) -> "RedisStore":
    """A store's client; connects on first use. `password` replaces one in the URL. ValueError for an invalid URL.

    With a `role` every server is checked for it when a connection is made.
    """
    address = parse_address(url)
    check = None if role is None else ServerCheck(role, of_cluster=address.mode == "cluster")
    options = _options(address, timeout_s, name, password or address.password, max_connections)
    if address.mode == "cluster":
        return RedisStore(_cluster(address, options, timeout_s, check), timeout_s, max_connections, check=check)
    if check is not None:
        options["redis_connect_func"] = check.on_connect
    if address.mode == "sentinel":
        sentinels = SentinelGroup(address, sentinel_password)
        master = sentinels.master_for(address.service, db=address.db, ssl=address.tls, **options)
        return RedisStore(master, timeout_s, max_connections, check=check, sentinels=sentinels)
    if address.mode == "unix":
        client = Redis(unix_socket_path=address.path, db=address.db, **options)
    else:
        host, port = address.hosts[0]
        client = Redis(host=host, port=port, db=address.db, ssl=address.tls, **options)
    return RedisStore(client, timeout_s, max_connections, check=check)


@contextmanager
def as_stored(operation: str) -> Iterator[None]:
    """For the reading of what a store holds: what is not of the form that we write is StoreUnavailable.

    Somebody else wrote it, or a script met it. Its text is dropped with the error: it is not ours to log.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
        raise StoreUnavailable(operation, "foreign") from None


def whole_number(text: bytes) -> int:
    """As commands write it; ValueError for what only Python reads as one (blanks, underscores), or is below 0."""
    if not text.isdigit():
        raise ValueError
    return int(text)


def finite_number(text: bytes) -> float:
    """ValueError for NaN, too: it differs from itself, so that a value with it would seem to change all the time."""
    number = float(text)
    if not isfinite(number):
        raise ValueError
    return number


class RedisStore:
    """Commands and scripts with a deadline, each sent once. `on_fault` is told why each of those failed that did."""

    def __init__(
        self,
        client: Redis | RedisCluster,
        timeout_s: float,
        max_connections: int,
        *,
        check: ServerCheck | None = None,
        sentinels: SentinelGroup | None = None,
    ) -> None:
        self.client = client
        self.timeout_s = timeout_s
        self.on_fault: Callable[[StoreFault, str], None] = _untold
        self._check, self._sentinels = check, sentinels
        self._cluster = client if isinstance(client, RedisCluster) else None
        self._connections = asyncio.Semaphore(max_connections)
        # A cluster's client picks a node for each command, so nothing is pipelined there.
        self._pipeline = None if isinstance(client, RedisCluster) else AutoPipeline(client)
        self.pubsub = PubSubClient(self._subscriber)
        self._topology: asyncio.Task[Any] | None = None

    async def call(self, operation: str, *words: Word, timeout_s: float | None = None, **options: Any) -> Any:
        """One command."""
        try:
            if self._pipeline is not None:
                return await self._pipeline.execute(timeout_s or self.timeout_s, *words, **options)
            async with asyncio.timeout(timeout_s or self.timeout_s), self._connections:
                return await self._execute(*words, **options)
        except CLIENT_ERRORS as error:
            raise self._unavailable(operation, error) from error
        except (ValueError, TypeError, LookupError, AttributeError):
            # A reply of another form than the client expects.
            self.on_fault("foreign", "")
            raise StoreUnavailable(operation, "foreign") from None

    def _unavailable(self, operation: str, error: BaseException) -> StoreUnavailable:
        fault, detail = fault_of(error), detail_of(error)
        if not isinstance(error, NoScriptError):
            self.on_fault(fault, detail)
        return StoreUnavailable(operation, fault, detail)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the server that was connected to last, without making it unfit."""
        return () if self._check is None else self._check.warnings

    async def follow_primary(self) -> None:
        """Ask the Sentinels who the primary is, and leave one that is it no longer. StoreUnavailable without answer."""
        pool = None if isinstance(self.client, RedisCluster) else self.client.connection_pool
        if isinstance(pool, SentinelConnectionPool):
            try:
                await pool.get_master_address()  # type: ignore[no-untyped-call]  # redis-py has not typed it
            except CLIENT_ERRORS as error:
                raise self._unavailable("sentinels", error) from error

    async def reconnect(self) -> None:
        """Close all connections: the next command finds the server, and checks it, anew."""
        if isinstance(self.client, RedisCluster):
            for node in self.client.get_nodes():
                await node.disconnect()
        else:
            await self.client.connection_pool.disconnect(inuse_connections=True)

    async def run(
        self, operation: str, script: Script, keys: Sequence[str], words: Sequence[Word], timeout_s: float | None = None
    ) -> Any:
        """One script, by its digest; by its text where the server has not loaded it yet (and has executed nothing)."""
        tail = (len(keys), *keys, *words)
        try:
            return await self.call(operation, "EVALSHA", script.digest, *tail, timeout_s=timeout_s)
        except StoreUnavailable as lost:
            if not isinstance(lost.__cause__, NoScriptError):
                raise
        return await self.call(operation, "EVAL", script.text, *tail, timeout_s=timeout_s)

    async def run_on_each(
        self, operation: str, script: Script, keys: Sequence[str], words: Sequence[Word], timeout_s: float
    ) -> list[Any]:
        """A script that answers a row for each of these keys, with one word for each: once, or by key in a cluster."""
        if self._cluster is None:
            rows: list[Any] = await self.run(operation, script, keys, words, timeout_s)
            return rows
        each = [self.run(operation, script, (key,), (word,), timeout_s) for key, word in zip(keys, words, strict=True)]
        return [row for answer in await asyncio.gather(*each) for row in answer]

    async def _execute(self, *words: Word, **options: Any) -> Any:
        if self._cluster is not None:
            await self._load_topology()
        return await self.client.execute_command(*words, **options)

    async def info(self, timeout_s: float = TOPOLOGY_S) -> Sequence[Mapping[str, Any]]:
        """INFO of the server, or of every primary of a cluster."""
        options = {} if self._cluster is None else {"target_nodes": RedisCluster.PRIMARIES}
        answer: dict[str, Any] = await self.call("info", "INFO", timeout_s=timeout_s, **options)
        return tuple(answer.values()) if all(isinstance(part, dict) for part in answer.values()) else (answer,)

    async def _subscriber(self) -> PubSub:
        """A pub/sub connection. Any node of a cluster will do: messages are broadcast to all of them."""
        if self._cluster is not None:
            await self._load_topology()
        subscriber: PubSub = self.client.pubsub()
        return subscriber

    async def close(self) -> None:
        await self.pubsub.close()
        if self._topology is not None:
            self._topology.cancel()
        if self._pipeline is not None:
            await self._pipeline.close()
        await self.client.aclose()
        if self._sentinels is not None:
            await self._sentinels.aclose()
        if self._cluster is not None:
            # A cluster's client that is about to reload its topology does not close its connections (aclose).
            await self._cluster.nodes_manager.aclose()
            await self._cluster.nodes_manager.aclose("startup_nodes")

    async def _load_topology(self) -> None:
        """Load a cluster's topology, once for all waiters, and not interrupted by the deadline of any of them.

        The client would load it inside a command; a short deadline would interrupt that each time.
        """
        assert self._cluster is not None
        if not self._cluster._initialize:
            return
        if self._topology is None or self._topology.done():
            self._topology = asyncio.create_task(asyncio.wait_for(self._cluster.initialize(), TOPOLOGY_S))
            # When it fails, no caller may be waiting any more.
            self._topology.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._topology)


def _options(
    address: StoreAddress, timeout_s: float, name: str, password: str | None, max_connections: int
) -> dict[str, Any]:
    return {
        "username": address.username,
        "password": password,
        "client_name": name,
        # redis-py retries a command ten times unless told otherwise (redis._defaults.DEFAULT_RETRY_COUNT).
        "retry": _no_retries(),
        "retry_on_error": [],
        # The operation has its own deadline; a socket timeout would cost a task per command.
        "socket_timeout": None,
        "socket_connect_timeout": timeout_s,
        "health_check_interval": 0,
        "decode_responses": False,
        # The semaphore of `RedisStore` stays below this; beyond it the client raises instead of waiting.
        "max_connections": max_connections + 8,
        # RESP 2 needs no HELLO, and its replies are cheaper to parse than those of RESP 3.
        "protocol": 2,
        "driver_info": None,
        **(address.files if address.tls else {}),
    }


def _cluster(
    address: StoreAddress, options: dict[str, Any], timeout_s: float, check: ServerCheck | None
) -> RedisCluster:
    cluster = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        ssl=address.tls,
        # Loading the topology is not covered by an operation's deadline.
        **{**options, "socket_timeout": max(1.0, timeout_s)},
        # By default every fifth redirection closes all connections, even those in use.
        reinitialize_steps=0,
    )
    if check is not None:
        # Its constructor takes no such function; it keeps one of its own there (for reading from replicas).
        for kept in (cluster.connection_kwargs, *(node.connection_kwargs for node in cluster.startup_nodes)):
            kept["redis_connect_func"] = check.on_connect
    return cluster


def _no_retries() -> Retry:
    return Retry(NoBackoff(), 0)


def _untold(fault: StoreFault, detail: str) -> None:
    """Where nobody listens."""
