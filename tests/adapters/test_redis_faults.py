"""Why a store cannot be used, said by real servers that cannot be used for that reason."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as ClientConnectionError
from redis.exceptions import ResponseError

from gateway.adapters.redis_connect import connect
from gateway.adapters.redis_faults import fault_of
from gateway.core.store_faults import StoreFault
from gateway.ports import StoreUnavailable
from tests.contracts.own_servers import OwnServer, certificate, own_server, tls_before
from tests.contracts.servers import free_ports

WRITE = ("SET", "esmgw:x", "1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with own_server(tmp_path_factory.mktemp("faults") / "s") as one:
        yield one


def why(url: str, *words: str, password: str | None = None, role: str | None = None) -> tuple[StoreFault, str]:
    """Why this command fails on this store, and what is told of the server."""

    async def story() -> tuple[StoreFault, str]:
        store = connect(url, timeout_s=2.0, name="why", password=password, role=role)  # type: ignore[arg-type]
        told: list[tuple[str, str]] = []
        store.on_fault = lambda fault, detail: told.append((fault, detail))
        try:
            with pytest.raises(StoreUnavailable) as lost:
                await store.call("why", *(words or ("GET", "esmgw:x")))
            assert told == [(lost.value.fault, lost.value.detail)]
            return lost.value.fault, lost.value.detail
        finally:
            await store.close()

    return asyncio.run(story())


def test_where_nobody_listens(tmp_path: Path) -> None:
    assert why(f"redis://127.0.0.1:{free_ports(1)[0]}")[0] == "refused"
    assert why(f"unix://{tmp_path}/nobody")[0] == "refused"


def test_an_address_that_is_unknown() -> None:
    assert why("redis://no-such-host.invalid")[0] == "unreachable"


def test_one_that_takes_connections_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert why(f"redis://127.0.0.1:{mute.getsockname()[1]}")[0] == "timeout"


@pytest.mark.parametrize(
    "said, fault",
    [
        (b"", "disconnected"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        (b"-MISCONF Errors writing to the AOF file: No space left on device\r\n", "disk"),
        (b"-NOREPLICAS Not enough good replicas to write.\r\n", "replicas"),
        (b"-BUSY Redis is busy running a script.\r\n", "busy"),
        (b"-ERR max number of clients reached\r\n", "clients"),
        (b"-CLUSTERDOWN The cluster is down\r\n", "cluster"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", "cluster"),
        (b"-DENIED Redis is running in protected mode\r\n", "authentication"),
        (b"-ERR something new\r\n", "error"),
    ],
)
def test_one_that_says_something_else(said: bytes, fault: str) -> None:
    async def story() -> str:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                if line.startswith(b"$") and b"SETNAME" in await reader.readline():
                    await reader.readline()
                    await reader.readline()
                    writer.write(b"+OK\r\n")
                elif line.startswith(b"$"):
                    writer.write(said)
                    if said == b"" or said.startswith(b"HTTP"):
                        break
            writer.close()

        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        store = connect(f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}", timeout_s=0.3, name="why")
        try:
            with pytest.raises(StoreUnavailable) as lost:
                await store.call("why", "PING")
            return lost.value.fault
        finally:
            await store.close()
            listener.close()

    assert asyncio.run(story()) == fault


def test_one_that_does_not_know_this_user(server: OwnServer) -> None:
    server.say("ACL", "SETUSER", "known", "on", ">right", "~*", "+@all")
    assert why(server.url.replace("//", "//known:wrong@"))[0] == "authentication"
    assert why(server.url.replace("//", "//nobody:right@"))[0] == "authentication"
    server.say("CONFIG", "SET", "requirepass", "s3cret")
    assert why(server.url)[0] == "authentication"
    assert why(server.url, password="wrong")[0] == "authentication"
    server.say("CONFIG", "SET", "requirepass", "", password="s3cret")


@pytest.mark.parametrize(
    "rules, words",
    [
        ("+@all -get", ("GET", "esmgw:x")),
        ("+@all resetkeys ~other:*", ("GET", "esmgw:x")),
        ("+@all -eval", ("EVAL", "return 1", "0")),
        ("+@all -zadd", ("EVAL", "return redis.call('ZADD', KEYS[1], 1, 'a')", "1", "esmgw:z")),
        ("+@all -client|setname", ("GET", "esmgw:x")),
    ],
)
def test_a_user_without_a_right(server: OwnServer, rules: str, words: tuple[str, ...]) -> None:
    server.say("ACL", "SETUSER", "narrow", "reset", "on", ">pw", "~*", "&*", *rules.split(" "))
    assert why(server.url.replace("//", "//narrow:pw@"), *words)[0] == "permission"


def test_one_that_is_full_or_a_replica_or_holds_something_else(server: OwnServer) -> None:
    server.say("SET", "esmgw:text", "junk")
    assert why(server.url, "HGET", "esmgw:text", "a")[0] == "foreign"
    assert why(server.url, "INCR", "esmgw:text")[0] == "foreign"
    arithmetic = "return tonumber(redis.call('GET', KEYS[1])) + 1"
    assert why(server.url, "EVAL", arithmetic, "1", "esmgw:text")[0] == "foreign"
    server.say("CONFIG", "SET", "maxmemory", "1")
    assert why(server.url, *WRITE)[0] == "full"
    assert why(server.url, "EVAL", "return redis.call('SET', KEYS[1], '1')", "1", "esmgw:x")[0] == "full"
    server.say("CONFIG", "SET", "maxmemory", "0")
    server.say("REPLICAOF", "127.0.0.1", "1")
    try:
        assert why(server.url, *WRITE)[0] == "read_only"
        assert why(server.url, role="state")[0] == "read_only"
        assert why(server.url, "EVAL", "return redis.call('SET', KEYS[1], '1')", "1", "esmgw:x")[0] == "read_only"
    finally:
        server.say("REPLICAOF", "NO", "ONE")


def test_one_that_evicts_is_not_fit_for_the_state_and_the_reason_is_told(server: OwnServer) -> None:
    server.say("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    fault, detail = why(server.url, role="state")
    server.say("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
    assert fault == "unsuitable"
    assert "maxmemory-policy allkeys-lru" in detail


Before = Callable[[Path, int], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def trusted(directory: Path, port: int, name: str = "127.0.0.1", days: int = 1) -> AsyncIterator[str]:
    async with tls_before(port, certificate(directory, name, days=days)) as tls:
        yield f"rediss://127.0.0.1:{tls}?ssl_ca_certs={directory}/ca.pem"


@asynccontextmanager
async def not_trusted(directory: Path, port: int) -> AsyncIterator[str]:
    (directory / "other").mkdir()
    certificate(directory / "other", "127.0.0.1")
    async with trusted(directory, port) as url:
        yield url.replace("/ca.pem", "/other/ca.pem")


@asynccontextmanager
async def plain(_: Path, port: int) -> AsyncIterator[str]:
    yield f"rediss://127.0.0.1:{port}"


@asynccontextmanager
async def spoken_to_plainly(directory: Path, port: int) -> AsyncIterator[str]:
    async with trusted(directory, port) as url:
        yield url.partition("?")[0].replace("rediss", "redis")


@pytest.mark.parametrize(
    "before, faults",
    [
        (trusted, {None}),
        (not_trusted, {"tls"}),
        (lambda directory, port: trusted(directory, port, days=-1), {"tls"}),
        (lambda directory, port: trusted(directory, port, "127.0.0.2"), {"tls_name"}),
        (lambda directory, port: trusted(directory, port, "store.example"), {"tls_name"}),
        (plain, {"tls", "timeout"}),
        (spoken_to_plainly, {"disconnected", "protocol"}),
    ],
    ids=["trusted", "not trusted", "expired", "another address", "another name", "no TLS there", "TLS there"],
)
def test_tls(server: OwnServer, tmp_path: Path, before: Before, faults: set[str | None]) -> None:
    async def story() -> str | None:
        async with before(tmp_path, server.port) as url:
            store = connect(url, timeout_s=2.0, name="why")
            try:
                await store.call("why", "PING")
            except StoreUnavailable as lost:
                return lost.fault
            finally:
                await store.close()
            return None

    assert asyncio.run(story()) in faults


def test_the_first_known_reason_on_the_way_to_the_cause_counts() -> None:
    wrapped = ClientConnectionError("Error 24 connecting")
    wrapped.__cause__ = OSError(24, "Too many open files")
    assert fault_of(wrapped) == "descriptors"
    assert fault_of(ClientConnectionError("gone")) == "disconnected"
    assert fault_of(ResponseError("ERR whatever")) == "error"
    assert fault_of(ssl.SSLError("handshake")) == "tls"
    looping = ClientConnectionError("a")
    looping.__cause__ = looping
    assert fault_of(looping) == "disconnected"
