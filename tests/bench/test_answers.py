"""Mutated answers: none with code passes, none that is hollow is kept; and the program would notice."""

import random
from collections.abc import Callable

import orjson
import pytest
from click.testing import CliRunner

from bench.answers import fuzz
from bench.answers.__main__ import main
from bench.answers.fuzz import fuzzed, unmutated
from bench.answers.mutations import MUTATIONS
from bench.answers.recordings import Recording, of_endpoint
from gateway import endpoints
from gateway.core.answer_model import Judgement

EACH, SEED = 1000, 7
NAMES = [endpoint.name for endpoint in endpoints.ENDPOINTS]


def test_every_recording_passes_unmutated() -> None:
    assert unmutated() == []


@pytest.mark.parametrize("name", NAMES)
def test_no_mutated_answer_with_code_passes_and_none_that_is_hollow_is_kept(name: str) -> None:
    found = fuzzed(name, EACH, SEED)
    assert found.faults == []
    # Were everything refused, or everything passed, it would say nothing.
    assert all(found.verdicts[verdict] >= EACH / 50 for verdict in ("fit", "doubtful", "unsafe", "broken"))


def taken_for_fit(_: Recording, body: bytes) -> Judgement:
    """As before answers were judged: any JSON object passes and is kept."""
    try:
        return Judgement("fit" if isinstance(orjson.loads(body), dict) else "broken")
    except orjson.JSONDecodeError:
        return Judgement("broken")


@pytest.mark.parametrize("name", NAMES)
def test_a_judge_that_looks_at_nothing_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "judged", taken_for_fit)
    said = " ".join(fuzzed(name, 300, SEED).faults)
    assert "code passes" in said
    assert "kept although hollow" in said
    assert "terminal" in said


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_mutation_changes_something(mutation: Callable[..., bytes]) -> None:
    chance, (recording, *_) = random.Random(3), of_endpoint("generate_tensor")
    plain = orjson.dumps(recording.answer)
    spoiled = {mutation(orjson.loads(plain), chance).replace(b" ", b"") for _ in range(20)}
    assert spoiled - {plain}


def test_the_program_tells_each_endpoint_and_whether_anything_was_wrong() -> None:
    done = CliRunner().invoke(main, ["--each", "20", "--endpoint", "msa", "--endpoint", "fold"])
    assert done.exit_code == 0
    assert "0 violations" in done.output
    assert done.output.count("doubtful") == 2
