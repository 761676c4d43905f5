"""What a scientist reads in the terminal when the gateway says no: clear, short, without the protein, at once."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from esm.sdk.api import ESMProtein, ESMProteinError, ESMProteinTensor
from esm.sdk.forge import ESM3ForgeInferenceClient as Client
from esm.sdk.forge import SequenceStructureForgeInferenceClient as Fold

from tests.sdk.conftest import MODEL
from tests.sdk.product import Product
from tests.sdk.prompts import greedy, prompt, protein
from tests.sdk.tape import Tape

Connect = Callable[[str], Client]
LONGEST_MESSAGE = 1200
BEYOND_THE_VOCABULARY = 33
OLD = os.environ["SDK_TEST_VERSION"].startswith("3.2.")


def refused(answer: Any, status: int) -> str:
    """The text of a refusal; the SDK returns its errors as values."""
    assert isinstance(answer, ESMProteinError)
    assert answer.error_code == status
    assert len(answer.error_msg) <= LONGEST_MESSAGE
    assert answer.error_msg.startswith("Failure in ")
    return str(answer.error_msg)


def tells(text: str, tensor: ESMProteinTensor) -> bool:
    """Does a text give away a protein, as letters or as tokens?"""
    tokens = [str(token) for token in tensor.sequence.tolist()]
    runs = [separator.join(tokens[i : i + 4]) for separator in (",", ", ") for i in range(len(tokens) - 4)]
    letters = protein("gfp").sequence
    return any(run in text for run in runs) or any(letters[i : i + 6] in text for i in range(len(letters) - 6))


@pytest.fixture
def flagged() -> ESMProteinTensor:
    tensor = prompt("gfp", "sequence")
    tensor.potential_sequence_of_concern = True
    return tensor


def test_a_declared_sequence_of_concern_needs_an_approval(
    sdk: Client, product: Product, tape: Tape, flagged: ESMProteinTensor
) -> None:
    before = product.upstream_calls()
    text = refused(sdk.generate(flagged, greedy("sequence")), 403)
    assert "concern-refused" in text
    assert "approval" in text
    assert not tells(text, flagged)
    assert len(tape) == 1  # the SDK did not try again
    assert product.upstream_calls() == before


def test_with_an_approval_the_declaration_reaches_the_upstream(
    connect: Connect, product: Product, tape: Tape, flagged: ESMProteinTensor
) -> None:
    approved = connect(product.approved_key)
    made = approved.generate(flagged, greedy("sequence"))
    assert isinstance(made, ESMProteinTensor)
    assert product.upstream()["last"][-1]["body"]["potential_sequence_of_concern"] is True
    assert not tape[0].hit


def test_the_sdk_forgets_a_declaration_so_it_must_be_made_again(
    connect: Connect, product: Product, flagged: ESMProteinTensor
) -> None:
    """Not the gateway's doing: docs/sdk.md warns of it, and this notices when a version changes."""
    approved = connect(product.approved_key)
    assert approved.generate(flagged, greedy("sequence")).potential_sequence_of_concern is False
    declared = ESMProtein(sequence=protein("gfp").sequence, potential_sequence_of_concern=True)
    assert approved.encode(declared).potential_sequence_of_concern is not OLD


def test_a_declared_call_and_an_undeclared_one_share_no_answer(
    connect: Connect, sdk: Client, product: Product, tape: Tape, flagged: ESMProteinTensor
) -> None:
    approved = connect(product.approved_key)
    asked = greedy("sequence")
    asked.top_p = 0.9  # a call of this test's own
    before = product.upstream_calls()
    approved.generate(flagged, asked)
    sdk.generate(prompt("gfp", "sequence"), asked)
    assert [exchange.hit for exchange in tape] == [False, False]
    approved.generate(flagged, asked)
    assert tape[-1].hit
    assert product.upstream_calls() == before + 2
    refused(sdk.generate(flagged, asked), 403)  # although the answer is now remembered


def other_key(key: str) -> str:
    """The same key with another last character: what a slip of the hand makes of it."""
    return key[:-1] + ("A" if key[-1] != "A" else "B")


@pytest.mark.parametrize("spoil", [other_key, lambda _: "any-token"], ids=["one letter wrong", "not a key"])
def test_a_wrong_key_is_named_as_the_reason(
    connect: Connect, product: Product, tape: Tape, spoil: Callable[[str], str]
) -> None:
    before = product.upstream_calls()
    wrong = spoil(product.key)
    text = refused(connect(wrong).generate(prompt("gfp", "sequence"), greedy("sequence")), 401)
    assert "key-refused" in text
    assert "virtual key" in text
    assert wrong not in text
    assert len(tape) == 1
    assert product.upstream_calls() == before


def test_a_refused_fold_is_raised_by_older_sdks_and_returned_by_newer_ones(product: Product) -> None:
    with Fold(url=product.url, model=MODEL, token=other_key(product.key)) as wrong:
        try:
            answer, raised = wrong.fold(protein("gfp").sequence), False
        except ESMProteinError as error:
            answer, raised = error, True
    assert "key-refused" in refused(answer, 401)
    assert raised is OLD


def test_a_bad_token_is_named_by_its_place_and_nothing_more(sdk: Client, product: Product, tape: Tape) -> None:
    before = product.upstream_calls()
    bad = prompt("gfp", "structure")
    bad.sequence[3] = BEYOND_THE_VOCABULARY
    text = refused(sdk.generate(bad, greedy("structure")), 422)
    assert '"/inputs/sequence/3"' in text
    assert not tells(text, bad)
    assert len(tape) == 1
    assert tape[0].headers["Content-Type"] == "application/problem+json"
    assert product.upstream_calls() == before


@pytest.mark.parametrize(
    "control, status, slug",
    [("only-if-cached", 412, "not-in-cache"), ("max-age=1h", 400, "cache-control-invalid")],
)
def test_a_wish_of_the_cache_that_is_not_granted_is_told_at_once(
    connect: Connect, product: Product, tape: Tape, control: str, status: int, slug: str
) -> None:
    """A 504, as RFC 9111 has it for only-if-cached, is tried again for 15 seconds by every release."""
    before = product.upstream_calls()
    asked = greedy("sequence")
    asked.top_p = 0.8  # a call of this test's own
    picky = connect(product.key)
    picky.headers["Cache-Control"] = control
    assert slug in refused(picky.generate(prompt("gfp", "sequence"), asked), status)
    assert len(tape) == 1
    assert product.upstream_calls() == before


def test_nothing_left_to_generate_is_refused_before_it_costs(sdk: Client, product: Product) -> None:
    before = product.upstream_calls()
    whole = prompt("gfp", "structure")
    text = refused(sdk.generate(whole, greedy("sequence")), 422)
    assert "mask" in text
    assert not tells(text, whole)
    assert product.upstream_calls() == before


def test_the_function_track_at_temperature_0_without_annealing_is_refused_with_the_reason(sdk: Client) -> None:
    asked = greedy("function")
    asked.temperature_annealing = False
    text = refused(sdk.generate(prompt("insulin", "function"), asked), 422)
    assert "annealing" in text


def test_no_key_and_no_protein_is_in_anything_that_the_gateway_writes_down(
    connect: Connect, product: Product, flagged: ESMProteinTensor
) -> None:
    for key in (product.key, product.approved_key):
        connect(key).generate(flagged, greedy("sequence"))
    written = product.written()
    assert "concern-refused" in written  # the call is on record, so silence is not the reason
    assert product.key not in written
    assert product.approved_key not in written
    assert not tells(written, flagged)
