"""What travels together to a store: each caller gets his own answer, and nobody is left waiting for a lane."""

import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from gateway.adapters.redis_connect import connect
from gateway.adapters.redis_pipelining import MAX_BATCHES_IN_FLIGHT, AutoPipeline, with_deadline
from gateway.ports import StoreUnavailable
from tests.contracts.proxy import Proxy
from tests.contracts.servers import Stores


class AllAtOnce:
    """A server that answers all its connections in the same instant."""

    def __init__(self) -> None:
        self.instant: asyncio.Event = asyncio.Event()
        self.asked: list[str] = []

    async def execute_command(self, *words: str) -> str:
        self.asked.append(words[0])
        await self.instant.wait()
        return words[0]

    def pipeline(self, transaction: bool) -> "Together":
        return Together()


class Together:
    def __init__(self) -> None:
        self.words: list[str] = []

    def execute_command(self, *words: str) -> None:
        self.words.append(words[0])

    async def execute(self, raise_on_error: bool) -> list[str]:
        return self.words


def test_a_caller_who_asks_again_just_as_all_lanes_end_is_answered() -> None:
    async def story() -> None:
        server = AllAtOnce()
        lanes = AutoPipeline(cast("Redis", server))

        async def ask(times: int) -> list[str]:
            return [await lanes.execute(60.0, f"{n}") for n in range(times)]

        callers = []
        for i in range(MAX_BATCHES_IN_FLIGHT):
            callers.append(asyncio.create_task(ask(2 if i == 0 else 1)))
            # Each gets a lane of its own before the next one asks.
            while len(server.asked) <= i:
                await asyncio.sleep(0)
        server.instant.set()
        async with asyncio.timeout(2.0):
            assert await asyncio.gather(*callers) == [["0", "1"], *[["0"]] * (MAX_BATCHES_IN_FLIGHT - 1)]
        await lanes.close()

    asyncio.run(story())


def test_an_error_reaches_the_caller_who_made_it_and_no_other(stores: Stores) -> None:
    async def story() -> None:
        store = connect(stores.state.url, timeout_s=5.0, name="mixed")
        await store.call("set", "SET", "lanes:text", "v")
        calls = [
            store.call(f"n{i}", *(("LPUSH", "lanes:text", "x") if i % 3 == 0 else ("ECHO", b"%d" % i)))
            for i in range(90)
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for i, answer in enumerate(answers):
            if i % 3 == 0:
                assert isinstance(answer, StoreUnavailable)
                assert str(answer) == f"n{i}"
            else:
                assert answer == b"%d" % i
        await store.close()

    asyncio.run(story())


@pytest.mark.parametrize("losing", ["swallow", "cut"])
def test_a_crowd_whose_replies_are_lost_is_told_so_and_each_was_sent_once(stores: Stores, losing: str) -> None:
    async def story() -> None:
        async with Proxy(stores.state.socket).listening() as proxy:
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.5, name="crowd")
            await asyncio.gather(*(store.call("echo", "ECHO", b"warm") for _ in range(40)))
            proxy.commands.clear()
            proxy.losing = losing
            calls: list[Any] = [store.call("incr", "INCR", f"lanes:{losing}:{i}") for i in range(40)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(isinstance(answer, StoreUnavailable) for answer in answers) >= 1
            sent = [command[1] for command in proxy.commands if command[0] == b"INCR"]
            assert len(sent) == len(set(sent))
            await store.close()

    asyncio.run(story())


def test_who_stops_waiting_before_his_turn_is_not_sent(stores: Stores) -> None:
    async def story() -> None:
        async with Proxy(stores.state.socket).listening() as proxy:
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=5.0, name="left")
            calls = [asyncio.create_task(store.call("echo", "ECHO", b"%d" % i)) for i in range(10)]
            await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            assert sorted(command[1] for command in proxy.commands if command[0] == b"ECHO") == [
                b"%d" % i for i in range(1, 10, 2)
            ]
            await store.close()

    asyncio.run(story())


@pytest.mark.parametrize("crowded", [False, True])
def test_who_met_a_deadline_is_cancelled_by_nothing_of_it_later(crowded: bool) -> None:
    """`asyncio.timeout` tells its own cancellation from another's by the task's count of them."""

    async def story() -> None:
        server = AllAtOnce()
        pipeline = AutoPipeline(cast("Redis", server))
        task = asyncio.current_task()
        assert task is not None

        async def lost() -> None:
            work = with_deadline(0.01, server.execute_command("x")) if crowded else pipeline.execute(0.01, "x")
            with pytest.raises(TimeoutError):
                await work
            assert task.cancelling() == 0

        async def for_ever() -> None:
            await lost()
            await lost()
            await asyncio.get_running_loop().create_future()

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await for_ever()
        await pipeline.close()

    asyncio.run(story())


def test_who_is_cancelled_while_a_deadline_runs_is_cancelled() -> None:
    async def story() -> None:
        server = AllAtOnce()
        pipeline = AutoPipeline(cast("Redis", server))
        asking = asyncio.create_task(pipeline.execute(60.0, "lost"))
        while not server.asked:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await pipeline.close()

    asyncio.run(story())
