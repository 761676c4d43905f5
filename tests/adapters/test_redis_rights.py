"""A user with exactly the documented rights can do all that the gateway does; without any one of them it is said."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_probe import BESIDE, TRIED, RedisProbe, rights
from gateway.core.store_faults import STORE_NAMES, StoreName
from gateway.ports import StoreUnavailable
from tests.adapters.test_foreign_kinds import Adapters, outcome
from tests.contracts.own_servers import OwnServer, own_server

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text("utf-8")
OF_CACHE = {"get", "purge_state", "purge", "purge a model", "mark stale", "claim", "claim another", "renew"}
OF_CACHE |= {"release", "put with a lease", "put first", "delete", "throttle"}
PREFIX = "esmgw:"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with own_server(tmp_path_factory.mktemp("rights") / "s", "--appendonly", "yes") as one:
        yield one


def documented(role: StoreName) -> list[str]:
    """The rules of the user of this store, as the page has them."""
    found = re.search(rf"ACL SETUSER esm-gateway-{role} (.*?)```", PAGE, re.DOTALL)
    assert found, f"docs/operating.md has no rules of the user of the {role} store"
    return found.group(1).replace("\\\n", " ").split()


def with_user(
    server: OwnServer, role: StoreName, more: list[str], story: Callable[[RedisStore], Awaitable[None]]
) -> None:
    rules = [rule for rule in documented(role) if not rule.startswith(">")]
    server.say("ACL", "SETUSER", "limited", "reset", "on", ">pw", *rules, *more)

    async def whole() -> None:
        url = server.url.replace("//", "//limited:pw@") + "/0"
        store = connect(url, timeout_s=5.0, name="rights", role=role)
        try:
            await story(store)
        finally:
            await store.close()

    asyncio.run(whole())


@pytest.mark.parametrize("role", STORE_NAMES)
def test_the_page_names_every_right_and_no_other(role: StoreName) -> None:
    allowed = {rule[1:].upper() for rule in documented(role) if rule.startswith("+")}
    assert allowed == set(rights(role))
    assert "-@all" in documented(role)


@pytest.mark.parametrize("role", STORE_NAMES)
def test_these_rights_suffice_for_everything(server: OwnServer, role: StoreName) -> None:
    async def story(store: RedisStore) -> None:
        probe = RedisProbe(store, role)
        await probe.check()
        await probe.try_change()
        adapters = Adapters(store, PREFIX)
        for name, operation in {**adapters.writing, **adapters.reading, **adapters.last}.items():
            if (name in OF_CACHE) == (role == "cache"):
                assert await outcome(operation) in ("done", "not stored"), name  # a frozen namespace is not emptied
        if role == "cache":
            await probe.try_subscribing()

    with_user(server, role, [], story)
    server.say("FLUSHALL")


@pytest.mark.parametrize(
    "role, command", [(role, line.partition(" ")[0]) for role in STORE_NAMES for line in TRIED[role]]
)
def test_a_missing_right_is_named(server: OwnServer, role: StoreName, command: str) -> None:
    async def story(store: RedisStore) -> None:
        with pytest.raises(StoreUnavailable) as lost:
            await RedisProbe(store, role).try_change()
        assert lost.value.fault == "permission"
        assert command.lower() in lost.value.detail.partition(": ")[2].split(", ")

    with_user(server, role, [f"-{command}"], story)


@pytest.mark.parametrize("right", ["EVAL", "EVALSHA", "INFO", "CLIENT|SETNAME"])
def test_a_missing_right_that_comes_before_is_a_matter_of_rights_too(server: OwnServer, right: str) -> None:
    async def story(store: RedisStore) -> None:
        server.say("SCRIPT", "FLUSH")
        with pytest.raises(StoreUnavailable) as lost:
            await RedisProbe(store, "state").try_change()
        assert lost.value.fault == "permission"

    with_user(server, "state", [f"-{right}"], story)


def test_every_command_that_scripts_and_adapters_use_is_tried() -> None:
    used: set[str] = set()
    for path in sorted((ROOT / "gateway" / "adapters").rglob("redis_*.py")):
        if path.name != "redis_probe.py":
            used |= set(re.findall(r'\.call\(\s*"[\w ]+", "([A-Z]+)"', path.read_text("utf-8")))
            used |= set(re.findall(r'^ +plain = \("([A-Z]+)"', path.read_text("utf-8"), re.MULTILINE))
    for path in (ROOT / "gateway" / "adapters" / "lua").glob("*.lua"):
        used |= set(re.findall(r"redis\.p?call\('([A-Z]+)'", path.read_text("utf-8")))
    assert {"SET", "HGET", "ZADD", "PUBLISH", "INFO", "GET"} <= used
    assert used <= {*rights("state"), *rights("cache")}
    assert set(BESIDE["state"]) < set(BESIDE["cache"])
