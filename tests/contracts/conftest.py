"""Every contract runs on memory, on an embedded server and on a cluster of three."""

import pytest

from tests.contracts.worlds import World


@pytest.fixture(params=["memory", "embedded", "cluster"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return World(None)
    if request.param == "embedded":
        return World(request.getfixturevalue("stores").state.url)
    return World(request.getfixturevalue("cluster"))
