"""Every contract runs on memory, on an embedded server and on a cluster of three."""

from collections.abc import Iterator

import pytest

from tests.contracts.servers import running_cluster
from tests.contracts.worlds import World


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    with running_cluster(3) as ports:
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)


@pytest.fixture(params=["memory", "embedded", "cluster"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return World(None)
    if request.param == "embedded":
        return World(request.getfixturevalue("stores").state.url)
    return World(request.getfixturevalue("cluster"))
