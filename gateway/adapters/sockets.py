"""The sockets that workers accept calls on: one for each of them on the same port, made before any worker starts.

The kernel spreads connections over the sockets (SO_REUSEPORT). They belong to the supervisor, so connections that
wait for a worker go on waiting while it is replaced. That option would also let two services share a port without
knowing of each other, so a port on which anybody listens already is refused.
"""

import asyncio
import errno
import random
import socket
import time

BACKLOG = 1024
# A predecessor that was killed lets go of the port a moment after its end.
PATIENCE_S = 3.0
PAUSE_S = 0.05
QUIET_PORTS = range(20_000, 32_000)


class ListenError(Exception):
    """The address cannot be listened on; the message says which and why."""


async def open_sockets(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` listening sockets on one port (0: any free one)."""
    family, address = await _resolve(host, port)
    await wait_until_free(host, port)
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(_bind(family, address))
            sockets[-1].listen(BACKLOG)
            address = (address[0], sockets[0].getsockname()[1])
    except OSError as error:
        close_all(sockets)
        raise ListenError(_sentence(address, error)) from None
    return sockets


def close_all(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def url_of(host: str, port: int) -> str:
    """The address as a URL for people on this machine; "every interface" is spoken as this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


async def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(f"{host} is no address of this machine: {error.strerror}") from None
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)


async def wait_until_free(host: str, port: int) -> None:
    """Until nobody listens there; CannotListen if that does not come soon."""
    family, address = await _resolve(host, port)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                return
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise ListenError(_sentence(address, error)) from None
        await asyncio.sleep(PAUSE_S)


async def free_port(host: str, wanted: int) -> int:
    """The wanted port if nobody listens there, or soon no more; else a free one.

    It is taken by another process a moment later, so it comes from below the ports that systems hand out for outgoing
    connections (Linux: 32768 and up), where it might be gone by then.
    """
    for port in (wanted, *random.sample(QUIET_PORTS, 20)):
        try:
            if port:
                await wait_until_free(host, port)
                return port
        except ListenError:
            continue
    raise ListenError(f"No port could be found on {host}.")


def rebound(listener: socket.socket) -> socket.socket:
    """A socket in place of this one, on the same port, that gets no connections before somebody listens on it."""
    fresh = _bind(listener.family, listener.getsockname())
    listener.close()
    return fresh


def _bind(family: int, address: tuple[str, int]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _sentence(address: tuple[str, int], error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {address[1]} on {address[0]} is taken by another program; choose another port, or 0 for any."
    if error.errno == errno.EACCES:
        return f"Port {address[1]} needs privileges that this process does not have; choose one above 1023."
    return f"Cannot listen on {address[0]} port {address[1]}: {error.strerror}."
