"""What runs behind the requests of a worker is started: a loop that nobody runs writes nothing and says nothing."""

from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from gateway.wiring import assembly, worker

HINTS = get_type_hints(assembly.Flow)
LOOPS = [field.name for field in fields(assembly.Flow) if hasattr(HINTS[field.name], "forever")]


def test_there_are_loops() -> None:
    assert {"policy", "poller", "admission"} <= set(LOOPS)


@pytest.mark.parametrize("name", LOOPS)
def test_the_worker_runs_every_loop_of_the_flow(name: str) -> None:
    started = Path(str(worker.__file__)).read_text("utf-8").split("loops = ")[1].split("]\n")[0]
    assert f"flow.{name}" in started
