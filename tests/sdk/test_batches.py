"""The SDK's own batch executor, through the gateway: what passes at the upstream costs no task.

It tries each task ten times and never pauses (`ForgeBatchExecutor` in 3.2, `ForgeParallelExecutor` in 3.4), so a batch
lives only if somebody else waits. `SDK_TEST_TASKS="32 200"` sets the sizes; `python -m bench.batches` has more cases.
"""

import json
import os
import random
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from esm.sdk import client
from esm.sdk.api import ESMProtein, GenerationConfig
from esm.sdk.forge import ESM3ForgeInferenceClient as Client
from esm.utils.forge_context_manager import ForgeBatchExecutor

from tests.sdk.conftest import MODEL
from tests.sdk.product import Product, running

TASKS = [int(number) for number in os.environ.get("SDK_TEST_TASKS", "32").split()]
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
USUAL = {"latency_s": 0.1}
# What the upstream answers, and for how many seconds; 0: until it has been answered so often.
FAULTS = {
    "refuses for 5 s": ({"status": 429, "retry_after": 5}, 5.0),
    "fails for 1 s": ({"status": 502}, 1.0),
    "refuses one call": ({"status": 429, "retry_after": 5, "times": 1}, 0.0),
    "loses its key for 10 s": ({"status": 401}, 10.0),
}


def tell(sandbox_url: str, *rules: dict[str, Any]) -> None:
    """These faults from now on, instead of all others."""
    url, headers = f"{sandbox_url}/__sandbox/faults", {"Content-Type": "application/json"}
    body = json.dumps({"rules": [*rules, USUAL]}).encode()
    for request in (
        urllib.request.Request(url, method="DELETE"),
        urllib.request.Request(url, method="POST", data=body, headers=headers),
    ):
        urllib.request.urlopen(request, timeout=10).close()


@contextmanager
def happening(sandbox_url: str, fault: dict[str, Any], seconds: float) -> Iterator[None]:
    tell(sandbox_url, fault)
    ending = Timer(seconds, tell, (sandbox_url,))
    if seconds:
        ending.start()
    try:
        yield
    finally:
        ending.cancel()
        if seconds:
            ending.join()
        tell(sandbox_url)


def prompts(tasks: int) -> list[ESMProtein]:
    chance = random.Random(tasks)
    return [ESMProtein(sequence="".join(chance.choices(LETTERS, k=24)) + "_" * 12) for _ in range(tasks)]


def failed(sdk: Client, tasks: int) -> list[str]:
    """What became of the tasks that were lost."""
    # It makes its HTTP client at the first call, and 32 threads that call first make several and close one.
    assert sdk.client is not None
    asked = GenerationConfig(track="sequence", num_steps=4, temperature=0.7)
    with ForgeBatchExecutor(show_progress=False) as executor:
        made: Sequence[Any] = executor.execute_batch(lambda each: sdk.generate(each, asked), each=prompts(tasks))
    assert len(made) == tasks
    return [repr(each) for each in made if not isinstance(each, ESMProtein) or "_" in each.sequence]


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """A product of its own, since what one fault leaves behind is not the next one's matter."""
    monkeypatch.setenv("GATEWAY_LIMITS__DEFAULT__REQUESTS_PER_MINUTE", "100000")
    monkeypatch.setenv("GATEWAY_LIMITS__DEFAULT__CONCURRENT", "1000")
    with running(tmp_path) as product:
        yield product


@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("name", list(FAULTS))
def test_a_batch_loses_no_task_while_the_upstream(fresh: Product, name: str, tasks: int) -> None:
    fault, seconds = FAULTS[name]
    with client(model=MODEL, url=fresh.url, token=fresh.key) as sdk, happening(fresh.sandbox_url, fault, seconds):
        assert failed(sdk, tasks) == []
    # The fault was met, and each task was computed.
    assert fresh.upstream_calls() > tasks


@pytest.mark.parametrize("name", ["refuses for 5 s", "fails for 1 s"])
def test_without_a_gateway_the_same_batch_loses_every_task(product: Product, direct: Client, name: str) -> None:
    fault, _ = FAULTS[name]
    try:
        with happening(product.sandbox_url, fault, 0.0):
            assert len(failed(direct, 32)) == 32
    finally:
        urllib.request.urlopen(
            urllib.request.Request(f"{product.sandbox_url}/__sandbox/faults", method="DELETE"), timeout=10
        ).close()
