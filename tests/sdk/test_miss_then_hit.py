"""Four real proteins, five tracks, temperature 0: the first pass is computed, the second is remembered."""

from dataclasses import dataclass

import pytest
import torch
from esm.sdk.api import ESMProteinTensor, GenerationConfig
from esm.sdk.forge import ESM3ForgeInferenceClient as Client

from tests.sdk.likeness import content
from tests.sdk.product import Product
from tests.sdk.prompts import MASK, NAMES, TRACKS, greedy, masked_positions, prompt, protein
from tests.sdk.tape import Exchange, Tape, recording

CELLS = [(name, track) for name in NAMES for track in TRACKS]
everywhere = pytest.mark.parametrize(("name", "track"), CELLS)


@dataclass(frozen=True, slots=True)
class Pass:
    """All twenty calls, once: what the SDK returned, what went over the wire, what reached the upstream."""

    results: dict[tuple[str, str], ESMProteinTensor]
    exchanges: dict[tuple[str, str], Exchange]
    upstream_calls: int


def one_pass(sdk: Client, product: Product) -> Pass:
    before = product.upstream_calls()
    results = {}
    with recording() as tape:
        for name, track in CELLS:
            results[name, track] = sdk.generate(prompt(name, track), greedy(track))
    assert len(tape) == len(CELLS)  # no retries: the exchanges and the calls are the same ones
    return Pass(results, dict(zip(CELLS, tape, strict=True)), product.upstream_calls() - before)


@pytest.fixture(scope="module")
def first(sdk: Client, product: Product) -> Pass:
    return one_pass(sdk, product)


@pytest.fixture(scope="module")
def second(first: Pass, sdk: Client, product: Product) -> Pass:
    return one_pass(sdk, product)


@everywhere
def test_the_first_time_is_computed_and_stored(first: Pass, name: str, track: str) -> None:
    seen = first.exchanges[name, track]
    assert (seen.status, seen.endpoint) == (200, "generate_tensor")
    assert seen.cache[0] == "esm-gateway"
    assert "fwd=miss" in seen.cache
    assert "stored" in seen.cache
    assert seen.determinism == "exact"


@everywhere
def test_the_second_time_is_remembered(second: Pass, name: str, track: str) -> None:
    seen = second.exchanges[name, track]
    assert seen.status == 200
    assert seen.cache[:2] == ["esm-gateway", "hit"]
    assert seen.determinism == "exact"
    assert int(seen.headers["Age"]) >= 0


@everywhere
def test_a_remembered_answer_has_the_bytes_of_the_computed_one(
    first: Pass, second: Pass, name: str, track: str
) -> None:
    assert second.exchanges[name, track].body == first.exchanges[name, track].body
    assert content(second.results[name, track]) == content(first.results[name, track])


@everywhere
def test_masked_residues_are_filled_and_all_else_is_as_given(first: Pass, name: str, track: str) -> None:
    given, made = prompt(name, track), first.results[name, track]
    assert isinstance(made, ESMProteinTensor)
    masked = masked_positions(len(protein(name).sequence))
    kept = [i for i in range(len(given)) if i not in masked]
    before, after = getattr(given, track), getattr(made, track)
    assert torch.equal(after[kept], before[kept])
    assert not bool((after[masked].reshape(len(masked), -1) == MASK[track]).all(dim=1).any())
    if track != "sequence":
        assert torch.equal(made.sequence, given.sequence)


def test_only_the_first_pass_reached_the_upstream(first: Pass, second: Pass) -> None:
    assert (first.upstream_calls, second.upstream_calls) == (len(CELLS), 0)


def test_a_cached_answer_equals_one_from_the_upstream_itself(second: Pass, direct: Client) -> None:
    for name, track in CELLS:
        straight = direct.generate(prompt(name, track), greedy(track))
        assert content(second.results[name, track]) == content(straight), (name, track)


def test_the_sdks_own_defaults_at_temperature_0_keep_the_first_answer(
    sdk: Client, direct: Client, product: Product, tape: Tape
) -> None:
    """Random order and annealing: the sampler draws, so the class is `pinned`, and asking again must not draw."""
    asked = GenerationConfig(track="sequence", temperature=0.0)
    before = product.upstream_calls()
    drawn, again = (sdk.generate(prompt("gfp", "sequence"), asked) for _ in range(2))
    assert [exchange.hit for exchange in tape] == [False, True]
    assert {exchange.determinism for exchange in tape} == {"pinned"}
    assert content(drawn) == content(again)
    assert product.upstream_calls() == before + 1
    assert content(direct.generate(prompt("gfp", "sequence"), asked)) != content(drawn)


def test_above_temperature_0_every_call_is_computed(sdk: Client, product: Product, tape: Tape) -> None:
    asked = GenerationConfig(track="sequence", temperature=0.7, num_steps=4)
    before = product.upstream_calls()
    one, other = (sdk.generate(prompt("insulin", "sequence"), asked) for _ in range(2))
    assert not any(exchange.hit for exchange in tape)
    assert product.upstream_calls() == before + 2
    assert content(one) != content(other)
