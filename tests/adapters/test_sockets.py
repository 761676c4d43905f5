"""Ports: shared by our own workers, and by nobody else."""

import asyncio
import socket

import pytest

from gateway.adapters.sockets import ListenError, close_all, free_port, open_sockets, rebind, url_of


def test_all_sockets_listen_on_one_port() -> None:
    sockets = asyncio.run(open_sockets("127.0.0.1", 0, 3))
    try:
        assert len({each.getsockname() for each in sockets}) == 1
    finally:
        close_all(sockets)


def test_a_port_that_somebody_listens_on_is_refused_even_if_they_would_share_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.adapters.sockets.WAIT_S", 0.1)
    theirs = asyncio.run(open_sockets("127.0.0.1", 0, 1))
    port = theirs[0].getsockname()[1]
    try:
        with pytest.raises(ListenError, match=f"Port {port} on 127.0.0.1 is in use"):
            asyncio.run(open_sockets("127.0.0.1", port, 1))
        assert asyncio.run(free_port("127.0.0.1", port)) != port
    finally:
        close_all(theirs)
    assert asyncio.run(free_port("127.0.0.1", port)) == port


def test_a_predecessor_that_is_just_ending_is_waited_for() -> None:
    async def play() -> list[socket.socket]:
        theirs = await open_sockets("127.0.0.1", 0, 1)
        opening = asyncio.ensure_future(open_sockets("127.0.0.1", theirs[0].getsockname()[1], 1))
        await asyncio.sleep(0.2)
        assert not opening.done()
        close_all(theirs)
        return await opening

    close_all(asyncio.run(play()))


def test_a_rebound_socket_gets_no_connections_until_somebody_listens() -> None:
    one, other = asyncio.run(open_sockets("127.0.0.1", 0, 2))
    one = rebind(one)
    callers = [socket.create_connection(one.getsockname(), timeout=2) for _ in range(20)]
    other.setblocking(True)
    other.settimeout(2)
    taken = [other.accept()[0] for _ in callers]
    close_all([one, other, *callers, *taken])


def test_an_address_of_another_machine_is_told_in_a_sentence() -> None:
    with pytest.raises(ListenError, match=r"Cannot listen on 192\.0\.2\.1 port 1"):
        asyncio.run(open_sockets("192.0.2.1", 1, 1))


def test_every_interface_is_spoken_as_this_machine() -> None:
    assert [url_of(host, 1) for host in ("0.0.0.0", "::", "::1", "gateway")] == [
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://[::1]:1",
        "http://gateway:1",
    ]
