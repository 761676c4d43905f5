"""Fixtures for the whole suite: real servers, one pair and one cluster for all tests of a session."""

from collections.abc import Iterator

import pytest

from tests.contracts.servers import Stores, running_cluster, running_stores


@pytest.fixture(scope="session")
def stores() -> Iterator[Stores]:
    with running_stores() as opened:
        yield opened


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a cluster of three, shared like the stores."""
    with running_cluster(3) as ports:
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)
