"""Every contract runs on memory, on an embedded server and on a cluster of three."""

import pytest

from tests.contracts.backends import Backend


@pytest.fixture(params=["memory", "embedded", "cluster"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return _world(request)


@pytest.fixture(params=["embedded", "cluster"])
def server(request: pytest.FixtureRequest) -> Backend:
    """For what can only happen where there is a server."""
    return _world(request)


def _world(request: pytest.FixtureRequest) -> Backend:
    if request.param == "memory":
        return Backend(None)
    if request.param == "embedded":
        return Backend(request.getfixturevalue("stores").state.url)
    return Backend(request.getfixturevalue("cluster"))
