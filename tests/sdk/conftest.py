"""One product for the whole run, a fresh tape for each test, and the SDK's clients for both doors."""

from collections.abc import Callable, Iterator

import pytest
from esm.sdk import client
from esm.sdk.forge import ESM3ForgeInferenceClient as Client
from esm.sdk.forge import SequenceStructureForgeInferenceClient as Fold

from tests.sdk.product import Product, running
from tests.sdk.tape import Tape, recording

MODEL = "esm3-open-2024-03"
Connect = Callable[[str], Client]


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running(tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest.fixture
def tape() -> Iterator[Tape]:
    with recording() as exchanges:
        yield exchanges


@pytest.fixture(scope="session")
def connect(product: Product) -> Iterator[Connect]:
    """The SDK as a scientist makes it: one line, the gateway's address, a virtual key."""
    made: list[Client] = []

    def with_key(key: str) -> Client:
        made.append(client(model=MODEL, url=product.url, token=key))
        return made[-1]

    yield with_key
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def sdk(connect: Connect, product: Product) -> Client:
    return connect(product.key)


@pytest.fixture(scope="session")
def direct(product: Product) -> Iterator[Client]:
    """The same SDK without a gateway: straight to the upstream."""
    with client(model=MODEL, url=product.sandbox_url, token="any-token") as straight:
        yield straight


@pytest.fixture
def folders(product: Product) -> Iterator[tuple[Fold, Fold]]:
    """The SDK's folding client, through the gateway and straight."""
    with (
        Fold(url=product.url, model=MODEL, token=product.key) as through,
        Fold(url=product.sandbox_url, model=MODEL, token="any-token") as straight,
    ):
        yield through, straight
