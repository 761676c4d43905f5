"""Sentinels: which server is the primary, asked of all of them at once.

The library asks one Sentinel after the other and believes the first that answers, so one that hangs (its machine is
off) uses up every deadline, and one that is cut off from the others names an old primary. Here the answer with the
newest configuration counts (`config-epoch`, https://redis.io/docs/latest/operate/oss_and_stack/reference/sentinel-clients/),
as soon as most of them have answered, or after half a second from those that have. The server must then say itself that
it is a primary (`redis_preflight.py`).
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.adapters.redis_url import StoreAddress

Found = tuple[str, int]
# Connecting included; in the background of whatever needs a connection, so not bounded by its deadline.
ASK_S = 2.0
# For the slower ones where most have not answered yet.
PATIENCE_S = 0.5
# A burst of new connections asks once.
FRESH_S = 0.25


class SentinelGroup(Sentinel):
    """The Sentinels of one service."""

    def __init__(self, address: StoreAddress, password: str | None) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # redis-py has not typed it
            list(address.hosts), sentinel_kwargs=sentinel_options(address, password)
        )
        self._asking: asyncio.Task[Found] | None = None
        self._found: Found | None = None
        self._found_at = float("-inf")

    async def discover_master(self, service_name: str) -> Found:
        """Host and port of the primary. Raises MasterNotFoundError, from what a Sentinel answered instead if any did.

        A caller with a short deadline goes away; the question goes on for those who come next.
        """
        if self._found is not None and time.monotonic() - self._found_at < FRESH_S:
            return self._found
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(service_name))
            self._asking.add_done_callback(_seen)
        return await asyncio.shield(self._asking)

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        for sentinel in self.sentinels:
            await sentinel.aclose()

    async def _ask(self, service: str) -> Found:
        tasks = [asyncio.create_task(_state_of(sentinel, service)) for sentinel in self.sentinels]
        try:
            answers, failures = await _collect(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not answers:
            raise MasterNotFoundError("no Sentinel names a primary") from next(iter(failures), None)
        newest = max(answers, key=lambda state: int(state.get("config-epoch", 0)))
        self._found, self._found_at = (str(newest["ip"]), int(newest["port"])), time.monotonic()
        return self._found


def sentinel_options(address: StoreAddress, password: str | None) -> dict[str, Any]:
    """How each Sentinel is reached: with a user and a password of its own, and with TLS where the URL says so."""
    tls: Mapping[str, Any] = {"ssl": True, **address.files} if address.sentinel_tls else {}
    return {
        "username": address.sentinel_user,
        "password": password,
        "socket_timeout": ASK_S,
        "socket_connect_timeout": ASK_S,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "protocol": 2,
        "driver_info": None,
        **tls,
    }


async def _state_of(sentinel: Redis, service: str) -> Mapping[str, Any] | None:
    """What a Sentinel says of the service, or None where it knows no primary that is up."""
    masters: Any = await sentinel.sentinel_masters()
    state: Mapping[str, Any] | None = masters.get(service)
    if state is None or not state["is_master"] or state["is_sdown"] or state["is_odown"]:
        return None
    return state


async def _collect(
    tasks: Sequence["asyncio.Task[Mapping[str, Any] | None]"],
) -> tuple[list[Mapping[str, Any]], list[BaseException]]:
    """The primaries named, and why Sentinels did not answer; waits for most of them, for the rest a moment only."""
    answers: list[Mapping[str, Any]] = []
    failures: list[BaseException] = []
    began, waiting = time.monotonic(), set(tasks)
    while waiting and len(answers) <= len(tasks) // 2:
        left = (PATIENCE_S if answers else ASK_S) - (time.monotonic() - began)
        done, waiting = await asyncio.wait(waiting, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
        if not done:
            break
        for task in done:
            failure = task.exception()
            if failure is not None:
                if not isinstance(failure, RedisError | OSError | KeyError | TypeError | ValueError):
                    raise failure
                failures.append(failure)
            elif (state := task.result()) is not None:
                answers.append(state)
    return answers, failures


def _seen(task: "asyncio.Task[Found]") -> None:
    """Nobody may be waiting any more when it fails."""
    if not task.cancelled():
        task.exception()
