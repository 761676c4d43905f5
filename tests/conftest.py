"""Fixtures for the whole suite: real servers, one pair for all tests of a session."""

from collections.abc import Iterator

import pytest

from tests.contracts.servers import Stores, running_stores


@pytest.fixture(scope="session")
def stores() -> Iterator[Stores]:
    with running_stores() as opened:
        yield opened
