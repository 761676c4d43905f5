"""Ports: shared by our own workers, and by nobody else."""

import asyncio
import errno
import socket

import pytest

from gateway.adapters.sockets import (
    ListenError,
    close_all,
    free_port,
    listen_again,
    open_sockets,
    turn_away,
    url_of,
    without_listening,
)


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


def accepted(listener: socket.socket) -> int:
    """How many connections wait in its backlog; they are closed."""
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return count
        count += 1


def call(port: int, times: int = 40) -> None:
    for _ in range(times):
        socket.create_connection(("127.0.0.1", port), timeout=2).close()


def refuses_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As other systems than Linux do."""

    def refuse(self: socket.socket, how: int) -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    monkeypatch.setattr(socket.socket, "shutdown", refuse)


@pytest.mark.parametrize("refusing", [False, True])
def test_a_socket_that_stops_listening_leaves_all_callers_to_the_others(
    monkeypatch: pytest.MonkeyPatch, refusing: bool
) -> None:
    one, other = asyncio.run(open_sockets("127.0.0.1", 0, 2))
    port = one.getsockname()[1]
    if refusing:
        refuses_shutdown(monkeypatch)
    one = without_listening(one)
    call(port)
    assert accepted(other) == 40
    listen_again(one)
    call(port)
    assert accepted(one) > 0
    assert one.getsockname()[1] == port
    close_all([one, other])


def test_turned_away_is_the_socket_itself_for_every_process_that_holds_it() -> None:
    one, other = asyncio.run(open_sockets("127.0.0.1", 0, 2))
    port = one.getsockname()[1]
    held_by_the_worker = one.dup()
    held_by_the_worker.setblocking(False)
    turn_away(one)
    call(port)
    assert (accepted(held_by_the_worker), accepted(other)) == (0, 40)
    listen_again(one)
    call(port)
    assert accepted(held_by_the_worker) + accepted(other) == 40
    close_all([one, other, held_by_the_worker])


def test_a_socket_that_was_turned_away_twice_serves_as_before_when_it_listens_again() -> None:
    (only,) = asyncio.run(open_sockets("127.0.0.1", 0, 1))
    for _ in range(2):
        turn_away(only)
        assert without_listening(only) is only
    listen_again(only)
    with socket.create_connection(only.getsockname(), timeout=2) as caller:
        caller.sendall(b"hello")
        only.settimeout(2)
        with only.accept()[0] as accepted_one:
            accepted_one.settimeout(2)
            assert accepted_one.recv(5) == b"hello"
    close_all([only])


def test_who_waits_at_a_socket_that_is_turned_away_is_told_to_try_again() -> None:
    (only,) = asyncio.run(open_sockets("127.0.0.1", 0, 1))
    with socket.create_connection(only.getsockname(), timeout=2) as caller:
        turn_away(only)
        with pytest.raises(ConnectionResetError):
            caller.recv(1)
    close_all([only])


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
