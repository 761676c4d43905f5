"""The listening sockets of the workers: one each on the same port (SO_REUSEPORT), opened before any worker starts.

The kernel spreads connections over the sockets. The supervisor holds them open, so connections in the backlog of a
worker that died wait for its replacement. SO_REUSEPORT would also let two services share a port by mistake, so a port
that is already in use is refused.
"""

import asyncio
import errno
import random
import socket
import time

BACKLOG = 1024
# A port is released a moment after the process that held it was killed.
WAIT_S = 3.0
POLL_S = 0.05
UNPRIVILEGED_PORTS = range(20_000, 32_000)


class ListenError(Exception):
    """The address cannot be listened on; the message says which and why."""


async def open_sockets(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` listening sockets on one port (0: any free one)."""
    family, address = await _resolve(host, port)
    await wait_until_free(host, port)
    sockets: list[socket.socket] = []
    try:
        # A port that Linux chose is let go of when the socket stops listening (SOCK_BINDPORT_LOCK), so it is named.
        with _bind(family, address) as chosen:
            address = (address[0], chosen.getsockname()[1])
            for _ in range(count):
                sockets.append(_bind(family, address))
                sockets[-1].listen(BACKLOG)
    except OSError as error:
        close_all(sockets)
        raise ListenError(_message(address, error)) from None
    return sockets


def close_all(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def url_of(host: str, port: int) -> str:
    """The address as a URL that works on this machine; for "every interface", loopback."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


async def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(f"{host} is not an address of this machine: {error.strerror}") from None
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)


async def wait_until_free(host: str, port: int) -> None:
    """Wait until the port is free; ListenError if it is not soon."""
    family, address = await _resolve(host, port)
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                return
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise ListenError(_message(address, error)) from None
        await asyncio.sleep(POLL_S)


async def free_port(host: str, preferred: int) -> int:
    """The preferred port if it is free or soon will be; else another free one.

    A child process binds it a moment later. So it is taken from below the range that the system hands out for outgoing
    connections (Linux: 32768 and up), where it could be used up by then.
    """
    for port in (preferred, *random.sample(UNPRIVILEGED_PORTS, 20)):
        try:
            if port:
                await wait_until_free(host, port)
                return port
        except ListenError:
            continue
    raise ListenError(f"No free port was found on {host}.")


def turn_away(listener: socket.socket) -> None:
    """Take a socket out of its port, also for the processes that share it; connections in its backlog are reset.

    Closing it here would change nothing for them. Linux takes a listening socket out of service by shutdown(2) and
    leaves it bound; other systems refuse (ENOTCONN, an OSError).
    """
    # Once only: a socket that is shut down while it does not listen stays so, and with it every connection that it
    # accepts later (inet_shutdown in net/ipv4/af_inet.c).
    if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.shutdown(socket.SHUT_RD)


def listen_again(listener: socket.socket) -> None:
    """Undo `turn_away`."""
    listener.listen(BACKLOG)


def without_listening(listener: socket.socket) -> socket.socket:
    """A socket on the same port that gets no connections until a process listens on it; the given one, if possible."""
    try:
        turn_away(listener)
        return listener
    except OSError:
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


def _message(address: tuple[str, int], error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {address[1]} on {address[0]} is in use by another program; choose another port, or 0 for any."
    if error.errno == errno.EACCES:
        return f"Port {address[1]} needs privileges that this process does not have; choose one above 1023."
    return f"Cannot listen on {address[0]} port {address[1]}: {error.strerror}."
