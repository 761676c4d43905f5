"""Which server the Sentinels name: asked at once, the newest configuration counts, one that hangs holds up nobody."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError

from gateway.adapters.redis_connect import connect
from gateway.adapters.redis_faults import fault_of
from gateway.adapters.redis_probe import RedisProbe
from gateway.adapters.redis_sentinel import PATIENCE_S, SentinelGroup
from gateway.adapters.redis_url import parse_address
from gateway.ports import StoreUnavailable
from tests.contracts.own_servers import Sentinels, certificate, sentinels, tls_before
from tests.contracts.servers import eventually

HOSTS = "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"
SENTINEL_ACL = "-@all +sentinel|masters"
"""As docs/operating.md gives it."""


class Said:
    """A Sentinel that says this after some seconds, or hangs."""

    def __init__(self, said: Mapping[str, Any] | Exception | None, after_s: float = 0.0) -> None:
        self._said, self._after_s, self.asked = said, after_s, 0

    async def sentinel_masters(self) -> Mapping[str, Any]:
        self.asked += 1
        await asyncio.sleep(self._after_s)
        if self._said is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(self._said, Exception):
            raise self._said
        return {"esm": self._said}

    async def aclose(self) -> None:
        return None


def primary(port: int, epoch: int = 0, **changes: Any) -> Mapping[str, Any]:
    whole = {"ip": "10.0.0.1", "port": port, "is_master": True, "is_sdown": False, "is_odown": False}
    return {**whole, "config-epoch": epoch, **changes}


def with_group(said: list[Mapping[str, Any] | Exception | None], story: Callable[[Any], Awaitable[None]]) -> None:
    async def whole() -> None:
        group: Any = SentinelGroup(parse_address(f"redis+sentinel://{HOSTS}/esm"), None)
        group.sentinels = [Said(each) for each in said]
        try:
            await story(group)
        finally:
            await group.aclose()

    asyncio.run(whole())


@pytest.mark.parametrize(
    "said, port",
    [
        ([primary(1), primary(1), primary(1)], 1),
        ([primary(1, 3), primary(2, 4), None], 2),
        ([primary(2, 4), primary(1, 3), None], 2),
        ([None, primary(1), primary(1)], 1),
        ([OSError(), primary(1), primary(1)], 1),
        ([primary(9, is_sdown=True), primary(1), primary(1)], 1),
        ([primary(9, is_master=False), OSError(), primary(1)], 1),
    ],
)
def test_the_newest_word_of_most_of_them_counts(said: list[Any], port: int) -> None:
    async def story(group: Any) -> None:
        began = time.monotonic()
        assert await group.discover_master("esm") == ("10.0.0.1", port)
        if said.count(None) < 2 and all(isinstance(each, Mapping) for each in said if each is not None):
            assert time.monotonic() - began < PATIENCE_S

    with_group(said, story)


def test_one_that_is_cut_off_and_answers_first_is_not_believed() -> None:
    async def story(group: Any) -> None:
        group.sentinels = [Said(primary(1, 3)), Said(primary(2, 4), 0.05), Said(primary(2, 4), 0.05)]
        assert await group.discover_master("esm") == ("10.0.0.1", 2)

    with_group([], story)


@pytest.mark.parametrize("said", [[primary(1), None, None], [primary(1), OSError(), OSError()]])
def test_one_that_is_left_is_believed_after_a_moment(said: list[Any]) -> None:
    async def story(group: Any) -> None:
        assert await group.discover_master("esm") == ("10.0.0.1", 1)

    with_group(said, story)


@pytest.mark.parametrize(
    "said, fault",
    [
        ([AuthenticationError("WRONGPASS")] * 3, "authentication"),
        ([ConnectionRefusedError()] * 3, "refused"),
        ([primary(1, is_odown=True)] * 3, "no_primary"),
        ([primary(1, is_odown=True), OSError(), OSError()], "no_primary"),
    ],
)
def test_where_none_names_one_the_reason_is_what_they_said_instead(said: list[Any], fault: str) -> None:
    async def story(group: Any) -> None:
        with pytest.raises(MasterNotFoundError) as lost:
            await group.discover_master("esm")
        assert fault_of(lost.value) == fault
        with pytest.raises(MasterNotFoundError):
            await group.discover_master("unknown")

    with_group(said, story)


def test_a_burst_asks_once_and_who_goes_away_leaves_the_question_to_others() -> None:
    async def story(group: Any) -> None:
        first = asyncio.ensure_future(group.discover_master("esm"))
        await asyncio.sleep(0)
        first.cancel()
        found = await asyncio.gather(*(group.discover_master("esm") for _ in range(50)))
        assert set(found) == {("10.0.0.1", 1)}
        assert [each.asked for each in group.sentinels] == [1, 1, 1]

    with_group([primary(1)] * 3, story)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    """Servers and Sentinels with passwords of their own, and a user of the Sentinels with the documented rights."""
    options = ("--requirepass", "datapw", "--masterauth", "datapw")
    config = (
        "sentinel auth-pass esm datapw",
        "requirepass sentinelpw",
        "sentinel sentinel-pass sentinelpw",
        f"user gateway on >gatewaypw {SENTINEL_ACL}",
    )
    with sentinels(tmp_path_factory.mktemp("closed"), options, config) as group:
        yield group


def ask(url: str, sentinel_password: str | None, timeout_s: float = 2.0) -> str:
    """ "done", or why not."""

    async def story() -> str:
        store = connect(
            url, timeout_s=timeout_s, name="s", password="datapw", sentinel_password=sentinel_password, role="state"
        )
        try:
            await store.call("set", "SET", "esmgw:x", "1")
            await RedisProbe(store, "state").check()
        except StoreUnavailable as lost:
            return lost.fault
        finally:
            await store.close()
        return "done"

    return asyncio.run(story())


@pytest.mark.parametrize(
    "query, password, outcome",
    [
        ("", "sentinelpw", "done"),
        ("?sentinel_user=gateway", "gatewaypw", "done"),
        ("", None, "authentication"),
        ("", "wrong", "authentication"),
        ("?sentinel_user=nobody", "gatewaypw", "authentication"),
    ],
)
def test_sentinels_with_a_password(closed: Sentinels, query: str, password: str | None, outcome: str) -> None:
    assert ask(f"redis+sentinel://{closed.hosts}/esm{query}", password) == outcome


def test_the_documented_rights_at_a_sentinel_suffice_and_each_is_needed(closed: Sentinels) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text("utf-8")
    assert f"ACL SETUSER gateway on >PASSWORD {SENTINEL_ACL}" in page
    for sentinel in closed.sentinels:
        sentinel.say("ACL", "SETUSER", "less", "on", ">lesspw", "-@all", password="sentinelpw")
    assert ask(f"redis+sentinel://{closed.hosts}/esm?sentinel_user=less", "lesspw") == "permission"


def test_sentinels_over_tls(closed: Sentinels, tmp_path: Path) -> None:
    async def story() -> None:
        context = certificate(tmp_path, "127.0.0.1")
        ports = [sentinel.port for sentinel in closed.sentinels]
        async with tls_before(ports[0], context) as a, tls_before(ports[1], context) as b:
            hosts = f"127.0.0.1:{a},127.0.0.1:{b}"
            url = f"redis+sentinel://{hosts}/esm?sentinel_tls=yes&ssl_ca_certs={tmp_path}/ca.pem"
            assert await asyncio.to_thread(ask, url, "sentinelpw") == "done"
            plain = f"redis+sentinel://{hosts}/esm"
            assert await asyncio.to_thread(ask, plain, "sentinelpw") in ("disconnected", "protocol")
            untrusted = f"redis+sentinel://{hosts}/esm?sentinel_tls=yes"
            assert await asyncio.to_thread(ask, untrusted, "sentinelpw") == "tls"

    asyncio.run(story())


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_sentinel_that_hangs_holds_up_nobody(closed: Sentinels, which: int) -> None:
    process = closed.sentinels[which].process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert ask(f"redis+sentinel://{closed.hosts}/esm", "sentinelpw", timeout_s=1.0) == "done"
        assert time.monotonic() - began < 1.0
    finally:
        os.kill(process.pid, signal.SIGCONT)


def test_a_deadline_too_short_for_asking_is_not_one_too_short_for_ever(closed: Sentinels) -> None:
    async def story() -> None:
        url = f"redis+sentinel://{closed.hosts}/esm"
        store = connect(url, timeout_s=0.05, name="s", password="datapw", sentinel_password="sentinelpw")

        async def works() -> bool:
            try:
                await store.call("get", "GET", "esmgw:x", timeout_s=0.002)
            except StoreUnavailable:
                return False
            return True

        try:
            await eventually(works, "an answer")
        finally:
            await store.close()

    asyncio.run(story())


def test_after_a_failover_the_new_primary_is_used_and_the_old_one_never_again(tmp_path: Path) -> None:
    async def story(group: Sentinels) -> None:
        store = connect(f"redis+sentinel://{group.hosts}/esm", timeout_s=1.0, name="s", role="state")
        probe = RedisProbe(store, "state")

        async def writes() -> bool:
            try:
                await store.call("incr", "INCR", "esmgw:n")
            except StoreUnavailable:
                return False
            return True

        async def demoted() -> bool:
            return bool(group.servers[0].say("ROLE")[0] == "slave")

        try:
            await eventually(writes, "the primary")
            await eventually(lambda: replicas(group), "its replicas")
            group.servers[0].kill()
            await eventually(writes, "the new primary", 30.0)
            await probe.check()
            group.servers[0].start()
            before = int(await store.call("get", "GET", "esmgw:n"))
            for n in range(200):
                assert await writes()
                assert int(await store.call("get", "GET", "esmgw:n")) == before + n + 1
            await eventually(demoted, "the old primary as a replica", 30.0)
            assert await writes()
        finally:
            await store.close()

    async def replicas(group: Sentinels) -> bool:
        return bool(group.servers[0].say("INFO", "replication")["connected_slaves"] == 2) and all(
            sentinel.say("SENTINEL MASTERS")["esm"]["num-other-sentinels"] == 2 for sentinel in group.sentinels
        )

    with sentinels(tmp_path / "group") as group:
        asyncio.run(story(group))
