"""Bodies over a real socket: who waits to be read, what is taken from the connection meanwhile, and who is given up."""

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest

from tests.flow.harness import BODY, KEY, Harness
from tests.web.test_server import AUTH, exchange, run

PATH = "/api/v1/generate_tensor"
READING = ("esmgw_request_body_bytes",)
WAITING = ("esmgw_request_bodies_waiting",)
MIB = 2**20


def head(key: str, *lines: str) -> bytes:
    fields = (f"POST {PATH} HTTP/1.1", "Host: x", f"Authorization: {key}", "Content-Type: application/json", *lines)
    return "\r\n".join((*fields, "", "")).encode()


MINE = f"Bearer {KEY.text}"
SMALL = orjson.dumps(BODY)


class Sender:
    """One connection that sends what it is told and keeps what comes back."""

    def __init__(self, url: str) -> None:
        self.host, self.port = url.removeprefix("http://").split(":")

    async def send(self, *parts: bytes) -> "Sender":
        self.reader, self.writer = await asyncio.open_connection(self.host, int(self.port))
        for part in parts:
            self.writer.write(part)
        return self

    async def status(self) -> int:
        return int((await self.reader.readuntil(b"\r\n")).split()[1])

    async def answer(self) -> int:
        """The status, once the whole answer has been read."""
        told = await self.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in told.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await self.reader.readexactly(int(length.split(b":")[1]))
        return int(told.split()[1])

    def unsent(self) -> int:
        """How many bytes wait in this process; how many the kernel has taken is not known."""
        return self.writer.transport.get_write_buffer_size()

    def close(self) -> None:
        self.writer.transport.abort()


async def until(happened: Any) -> None:
    async with asyncio.timeout(5):
        while not happened():
            await asyncio.sleep(0.01)


def bounded(user: int, worker: int = 2**30, pace: int = 1000) -> dict[str, Any]:
    return {"request": {"user_bodies_bytes": user, "bodies_bytes": worker, "body_pace": pace}}


def test_bodies_withheld_at_the_end_hold_up_nobody_else_and_take_no_memory() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        gauges = harness.memory.meter.gauges
        withheld = [
            await Sender(url).send(head(MINE, f"Content-Length: {8 * MIB}"), b" " * (8 * MIB - 1)) for _ in range(6)
        ]
        await until(lambda: gauges.get(WAITING) == 4)
        assert gauges[READING] == 16 * MIB
        # Of the four that wait, most lies unsent on the senders' side.
        await until(lambda: sum(sender.unsent() > MIB for sender in withheld) == 4)
        bob = harness.person("bob")
        async with session.post(url + PATH, json=BODY, headers=bob) as response:
            assert response.status == 200
        for sender in withheld:
            sender.close()
        await until(lambda: gauges[READING] == gauges[WAITING] == 0)
        async with session.post(url + PATH, json=BODY, headers=AUTH) as response:
            assert response.status == 200

    run(play, settings=bounded(16 * MIB))


def test_a_batch_over_the_budget_is_all_read_in_its_turn() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        body = SMALL[:-1] + b" " * 560_000 + b"}"
        headers = {**AUTH, "Content-Type": "application/json"}

        async def one() -> int:
            async with session.post(url + PATH, data=body, headers=headers) as response:
                return response.status

        assert await asyncio.gather(*(one() for _ in range(32))) == [200] * 32

    run(play, settings=bounded(user=1_000_000))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("missing", [1, 150, 20_000])
def test_a_withheld_rest_is_a_408_and_its_room_is_free_again(
    chunked: bool, missing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.web.request.PACE_WINDOW_S", 0.2)

    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        body = b" " * (100_000 - missing)
        length = ("Transfer-Encoding: chunked",) if chunked else ("Content-Length: 100000",)
        sent = b"186a0\r\n" + body if chunked else body
        sender = await Sender(url).send(head(MINE, *length), sent)
        async with asyncio.timeout(5):
            assert await sender.status() == 408
        await until(lambda: harness.memory.meter.gauges[READING] == 0)
        sender.close()

    run(play)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_body_that_keeps_the_pace_takes_many_windows_and_is_answered(
    chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.web.request.PACE_WINDOW_S", 0.2)

    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        body = SMALL[:-1] + b" " * 1000 + b"}"

        async def pieces() -> Any:
            for at in range(0, len(body), 100):
                yield body[at : at + 100]
                await asyncio.sleep(0.05)

        headers = {**AUTH, "Content-Type": "application/json"}
        if not chunked:
            headers["Content-Length"] = str(len(body))
        async with session.post(url + PATH, data=pieces(), headers=headers) as response:
            assert response.status == 200

    run(play)


def test_waiting_for_room_is_not_a_slow_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.request.PACE_WINDOW_S", 0.2)

    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        released = asyncio.Event()

        async def late(request: Any) -> Any:
            await released.wait()
            return harness_answer(request)

        harness_answer: Any = harness.memory.upstream.answer
        harness.memory.upstream.answer = late
        body = SMALL[:-1] + b" " * 300_000 + b"}"
        headers = {**AUTH, "Content-Type": "application/json"}
        first = asyncio.ensure_future(session.post(url + PATH, data=body, headers=headers))
        await until(harness.sent)
        second = asyncio.ensure_future(session.post(url + PATH, data=body, headers=headers))
        await until(lambda: harness.memory.meter.gauges.get(WAITING) == 1)
        await asyncio.sleep(0.5)
        assert not second.done()
        released.set()
        for each in (first, second):
            async with await each as response:
                assert response.status == 200

    run(play, settings=bounded(user=400_000))


def test_who_hangs_up_while_waiting_leaves_the_line() -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        gauges = harness.memory.meter.gauges
        first = await Sender(url).send(head(MINE, "Content-Length: 300000"), b" " * 1000)
        await until(lambda: gauges.get(READING) == 300_000)
        small = await Sender(url).send(head(MINE, "Content-Length: 200000"), b" " * 1000)
        await until(lambda: gauges.get(WAITING) == 1)
        small.close()
        await until(lambda: gauges.get(WAITING) == 0)
        first.close()
        await until(lambda: gauges.get(READING) == 0)

    run(play, settings=bounded(user=400_000))


def test_a_sender_who_expects_100_continue_gets_it_when_the_reading_begins() -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        first = await Sender(url).send(head(MINE, "Content-Length: 300000"), b" " * 1000)
        await until(lambda: harness.memory.meter.gauges.get(READING) == 300_000)
        polite = await Sender(url).send(head(MINE, f"Content-Length: {len(SMALL)}", "Expect: 100-continue"))
        await until(lambda: harness.memory.meter.gauges.get(WAITING) == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await polite.reader.readuntil(b"\r\n\r\n")
        first.close()
        async with asyncio.timeout(5):
            assert await polite.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            polite.writer.write(SMALL)
            assert await polite.status() == 200
        polite.close()

    run(play, settings=bounded(user=300_000))


@pytest.mark.parametrize("key, length, status", [("Bearer esmgw_no", "5", 401), (MINE, "99999999", 413)])
def test_a_refused_sender_gets_no_100_and_the_connection_is_closed(key: str, length: str, status: int) -> None:
    async def play(_: Harness, __: aiohttp.ClientSession, url: str) -> None:
        polite = await Sender(url).send(head(key, f"Content-Length: {length}", "Expect: 100-continue"))
        async with asyncio.timeout(5):
            told = await polite.reader.readuntil(b"\r\n\r\n")
        assert told.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"connection: close" in told.lower()
        polite.close()

    run(play)


@pytest.mark.parametrize(
    "expect, version, answered",
    [("100-Continue", "HTTP/1.1", True), ("banana", "HTTP/1.1", False), ("100-continue", "HTTP/1.0", False)],
)
def test_only_http_1_1_and_only_this_expectation_is_answered(expect: str, version: str, answered: bool) -> None:
    async def play(_: Harness, __: aiohttp.ClientSession, url: str) -> None:
        sent = head(MINE, f"Content-Length: {len(SMALL)}", f"Expect: {expect}", "Connection: close")
        sender = await Sender(url).send(sent.replace(b"HTTP/1.1", version.encode()))
        if answered:
            await sender.reader.readuntil(b"\r\n\r\n")
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await sender.reader.readuntil(b"\r\n\r\n")
        sender.writer.write(SMALL)
        async with asyncio.timeout(5):
            assert await sender.status() == 200
        sender.close()

    run(play)


def test_a_body_that_has_come_already_is_not_asked_for() -> None:
    async def play(_: Harness, __: aiohttp.ClientSession, url: str) -> None:
        sent = head(MINE, f"Content-Length: {len(SMALL)}", "Expect: 100-continue", "Connection: close") + SMALL
        assert (await exchange(url, sent)).startswith(b"HTTP/1.1 200 ")

    run(play)


def test_a_body_that_has_begun_to_come_is_not_asked_for() -> None:
    async def play(_: Harness, __: aiohttp.ClientSession, url: str) -> None:
        begun = head(MINE, f"Content-Length: {len(SMALL)}", "Expect: 100-continue") + SMALL[:20]
        sender = await Sender(url).send(begun)
        await asyncio.sleep(0.1)
        sender.writer.write(SMALL[20:])
        assert await sender.answer() == 200
        sender.close()

    run(play)


def test_a_body_in_chunks_keeps_room_for_its_size_alone_once_it_is_read() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        answer: Any = harness.memory.upstream.answer
        let_go, sizes = asyncio.Event(), []

        async def late(request: Any) -> Any:
            await let_go.wait()
            return answer(request)

        async def pieces() -> Any:
            yield SMALL[:-1] + b" " * 300_000
            await until(lambda: harness.memory.meter.gauges.get(READING, 0) > 0)
            sizes.append(harness.memory.meter.gauges[READING])
            yield b"}"

        harness.memory.upstream.answer = late
        headers = {**AUTH, "Content-Type": "application/json"}
        asking = asyncio.ensure_future(session.post(url + PATH, data=pieces(), headers=headers))
        await until(harness.sent)
        sizes.append(harness.memory.meter.gauges[READING])
        let_go.set()
        async with await asking as response:
            assert response.status == 200
        assert sizes == [harness.settings.request.max_body_bytes, len(SMALL) + 300_000]

    run(play)


@pytest.mark.parametrize("chunk", [b"zz\r\nabc\r\n", b"5\r\nabc", b"-1\r\n\r\n"])
def test_a_body_in_bad_chunks_is_the_callers_fault(chunk: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        sender = await Sender(url).send(head(MINE, "Transfer-Encoding: chunked"), chunk)
        await asyncio.sleep(0.05)
        sender.writer.write_eof()
        async with asyncio.timeout(5):
            told = await sender.reader.read()
        sender.close()
        assert told == b"" or told.split()[1] == b"400"
        await until(lambda: harness.memory.meter.gauges.get(READING, 0) == 0)

    run(play)
    assert "failed" not in caplog.text
