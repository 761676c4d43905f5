"""Every contract runs on memory, on an embedded server and on a cluster of three."""

import pytest

from tests.contracts.worlds import World


@pytest.fixture(params=["memory", "embedded", "cluster"])
def world(request: pytest.FixtureRequest) -> World:
    return _world(request)


@pytest.fixture(params=["embedded", "cluster"])
def server(request: pytest.FixtureRequest) -> World:
    """For what can only happen where there is a server."""
    return _world(request)


def _world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return World(None)
    if request.param == "embedded":
        return World(request.getfixturevalue("stores").state.url)
    return World(request.getfixturevalue("cluster"))
