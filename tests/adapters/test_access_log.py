"""The access log: whole lines, in order, and no request ever waits for whoever reads it."""

import asyncio
import os
import threading
from pathlib import Path

import orjson

from gateway.adapters.access_log import MAX_BUFFERED, PIPE_ATOMIC, NoAccessLog, StreamAccessLog


def read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def test_lines_come_whole_and_in_order() -> None:
    reading, writing = os.pipe()

    async def story() -> None:
        log = StreamAccessLog(writing)
        for n in range(500):
            log.write({"n": n, "text": "x" * (n % 300)})
        await asyncio.sleep(0.3)
        log.write({"n": 500})
        log.close()

    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_all(reading)))
    reader.start()
    asyncio.run(story())
    os.close(writing)
    reader.join(10)
    assert [orjson.loads(line)["n"] for line in got[0].splitlines()] == list(range(501))


def test_a_reader_who_does_not_keep_up_costs_lines_and_no_memory() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    async def story() -> None:
        log = StreamAccessLog(writing)
        for _ in range(3):
            for n in range(2 * MAX_BUFFERED // 1000):
                log.write({"n": n, "text": "x" * 1000})
            assert log.buffered <= MAX_BUFFERED + 2000
            await asyncio.sleep(0.2)
        log.close()

    asyncio.run(story())
    os.close(writing)
    got = read_all(reading)
    assert len(got) >= PIPE_ATOMIC


def test_what_was_dropped_is_told() -> None:
    reading, writing = os.pipe()
    got: list[bytes] = []

    async def story() -> None:
        log = StreamAccessLog(writing)
        for n in range(MAX_BUFFERED // 1000 + 50):
            log.write({"n": n, "text": "x" * 1000})
        reader = threading.Thread(target=lambda: got.append(read_all(reading)))
        reader.start()
        log.close()
        os.close(writing)
        reader.join(10)

    asyncio.run(story())
    lines = [orjson.loads(line) for line in got[0].splitlines()]
    dropped = sum(line.get("dropped_lines", 0) for line in lines)
    assert dropped > 0
    assert dropped + sum("n" in line for line in lines) == MAX_BUFFERED // 1000 + 50


def test_a_file_gets_every_line_in_order_and_two_logs_do_not_mix_theirs(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"

    async def story() -> None:
        with path.open("ab", buffering=0) as file:
            logs = [StreamAccessLog(file.fileno()) for _ in range(2)]
            for n in range(2000):
                for who, log in enumerate(logs):
                    log.write({"who": who, "n": n, "text": "x" * 100})
            await asyncio.sleep(0.3)
            for log in logs:
                log.close()

    asyncio.run(story())
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert [[line["n"] for line in lines if line["who"] == who] for who in range(2)] == [list(range(2000))] * 2


def test_no_log_is_silent() -> None:
    log = NoAccessLog()
    log.write({"n": 1})
    log.close()
    assert vars(log) == {}
