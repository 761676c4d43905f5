"""Every contract runs on memory, on an embedded server and on a cluster of three."""

import pytest

from tests.contracts.backends import Adapters


@pytest.fixture(params=["memory", "embedded", "cluster"])
def world(request: pytest.FixtureRequest) -> Adapters:
    return _world(request)


@pytest.fixture(params=["embedded", "cluster"])
def server(request: pytest.FixtureRequest) -> Adapters:
    """For what can only happen where there is a server."""
    return _world(request)


def _world(request: pytest.FixtureRequest) -> Adapters:
    if request.param == "memory":
        return Adapters(None)
    if request.param == "embedded":
        return Adapters(request.getfixturevalue("stores").state.url)
    return Adapters(request.getfixturevalue("cluster"))
