"""What each endpoint's answer must hold: recordings and the sandbox's answers are fit, hollow ones are not."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest

from bench.answers.recordings import Recording, recordings
from gateway import endpoints
from gateway.core.answer_model import JudgeConfig, Judgement, Question, judge
from gateway.core.types import Call
from gateway.sandbox.answers import ENDPOINTS, Asked
from tests.endpoints.examples import COORDINATES, ESM3, NULLS, PROTEIN, TOKENS, call, example

RECORDINGS = recordings()
NAMES = [endpoint.name for endpoint in endpoints.ENDPOINTS]
Tree = dict[str, Any]


def judged(asked: Call, answer: Any, config: JudgeConfig = JudgeConfig()) -> Judgement:  # noqa: B008 - frozen
    body = answer if isinstance(answer, bytes) else orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return judge(endpoints.named(asked.endpoint).answer, Question.of(asked), body, config)


def answered(asked: Call) -> Tree:
    """What the sandbox answers, as plain values."""
    done = ENDPOINTS[asked.endpoint](Asked(orjson.loads(asked.body), dict(parse_qsl(asked.target.partition("?")[2]))))
    found: Tree = orjson.loads(orjson.dumps(done.answer, option=orjson.OPT_SERIALIZE_NUMPY))
    return found


@pytest.mark.parametrize("recording", RECORDINGS, ids=[found.name for found in RECORDINGS])
def test_a_recording_is_fit_to_the_byte_and_a_pickled_one_is_refused(recording: Recording) -> None:
    expected = Judgement("unsafe") if recording.pickled else Judgement("fit")
    assert judged(recording.call, recording.answer) == expected


def test_every_endpoint_has_a_recording_and_only_those_with_bytes_are_refused() -> None:
    assert {found.call.endpoint for found in RECORDINGS if not found.pickled} == set(NAMES)
    assert [found.name for found in RECORDINGS if found.pickled] == [
        f"{version}_{case}" for version in ("321", "341") for case in ("esmc_logits", "logits_bytes_json")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_answers_each_endpoint_s_example_fit(name: str) -> None:
    given = example(name)
    asked = call(name, given.body, given.query)
    assert judged(asked, answered(asked)) == Judgement("fit")


GENERATION = {"model": ESM3, "num_steps": 2, "strategy": "entropy", "temperature": 1.0}
LETTERS = {name: value for name, value in PROTEIN.items() if name != "function"}
ASKED: Mapping[str, tuple[str, Tree]] = {
    **{
        f"generate_tensor {track}": ("generate_tensor", {**GENERATION, "track": track, "inputs": TOKENS})
        for track in ("sequence", "secondary_structure", "sasa", "function")
    },
    "generate_tensor from nothing": (
        "generate_tensor", {**GENERATION, "track": "structure", "inputs": {"sequence": TOKENS["sequence"]}}
    ),
    "generate sequence": ("generate", {**GENERATION, "track": "sequence", "inputs": LETTERS}),
    "generate structure": ("generate", {**GENERATION, "track": "structure", "inputs": {"sequence": "ACDEFG"}}),
    "generate ss8": ("generate", {**GENERATION, "track": "secondary_structure", "inputs": {"sequence": "ACDEF"}}),
    "generate sasa": ("generate", {**GENERATION, "track": "sasa", "inputs": LETTERS}),
    "generate function": ("generate", {**GENERATION, "track": "function", "inputs": {"sequence": "ACDEF"}}),
    "encode": ("encode", {"model": ESM3, "inputs": LETTERS}),
    "decode": ("decode", {"model": ESM3, "inputs": {"sequence": [0, 5, 6, 31, 7, 2]}}),
    "decode structure": (
        "decode", {"model": ESM3, "inputs": {"sequence": [0, 5, 6, 2], "structure": [4098, 1, 2, 4097]}}
    ),
    "logits": (
        "logits",
        {
            "model": ESM3,
            "inputs": {"sequence": TOKENS["sequence"]},
            "logits_config": {
                **dict.fromkeys(("sequence", "structure", "sasa", "function", "residue_annotations"), True),
                **dict.fromkeys(("return_embeddings", "return_mean_embedding", "return_mean_hidden_states"), True),
                **{"return_hidden_states": True, "ith_hidden_layer": -1},
            },
        },
    ),
    "forward": (
        "forward_and_sample",
        {
            "model": ESM3,
            "inputs": {"sequence": TOKENS["sequence"]},
            "sampling_config": {name: {"temperature": 1.0} for name in ("sequence", "structure", "sasa", "function")},
            "embedding_config": {"sequence": True, "per_residue": True},
        },
    ),
    "fold": ("fold", {"model": ESM3, "sequence": "ACDEFGH"}),
    "inverse_fold": ("inverse_fold", {"model": ESM3, "coordinates": COORDINATES}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "body"), ASKED.values(), ids=ASKED)
def test_every_kind_of_call_has_a_fit_answer(name: str, body: Tree) -> None:
    asked = call(name, body)
    assert judged(asked, answered(asked)) == Judgement("fit")


def at(*path: Any) -> Callable[[Tree], tuple[Any, Any]]:
    """The place of a value in an answer: its container, and its name there."""

    def found(tree: Tree) -> tuple[Any, Any]:
        where: Any = tree
        for step in path[:-1]:
            where = where[step]
        return where, path[-1]

    return found


Place = Callable[[Tree], tuple[Any, Any]]
AS_LONG_AS_THE_PROTEIN: list[tuple[str, Place]] = [
    *((f"generate_tensor {track}", at("outputs", track)) for track in ("sequence", "secondary_structure", "sasa")),
    ("generate_tensor function", at("outputs", "function")),
    ("generate_tensor from nothing", at("outputs", "structure")),
    ("generate sequence", at("outputs", "sequence")),
    ("generate structure", at("outputs", "coordinates")),
    ("generate ss8", at("outputs", "secondary_structure")),
    ("generate sasa", at("outputs", "sasa")),
    ("generate function", at("outputs", "sequence")),
    *(("encode", at("outputs", name)) for name in ("sequence", "secondary_structure", "sasa", "coordinates")),
    ("decode", at("outputs", "sequence")),
    ("decode structure", at("outputs", "coordinates")),
    *(("forward", at(name, "tokens")) for name in ("sequence", "structure", "sasa", "function")),
    ("forward", at("embeddings", "per_residue")),
    ("fold", at("coordinates")),
    ("inverse_fold", at("sequence")),
]
HEADS = ("sequence", "structure", "sasa", "function", "residue_annotations")
# Of these the batch is the first axis.
ROWS: list[tuple[str, Place]] = [
    *(("logits", at("logits", name, 0)) for name in HEADS),
    ("logits", at("embeddings", 0)),
    *(("logits", at("hidden_states", layer, 0)) for layer in (0, 2)),
]
OTHERS: list[tuple[str, Place]] = [
    *(("logits", at("logits", name)) for name in HEADS),
    *(
        ("logits", at(name))
        for name in ("logits", "embeddings", "hidden_states", "mean_embedding", "mean_hidden_state")
    ),
    *(("forward", at(name)) for name in ("sequence", "structure", "sasa", "function", "embeddings")),
    ("forward", at("embeddings", "sequence")),
]


@pytest.mark.parametrize(("kind", "place"), [*AS_LONG_AS_THE_PROTEIN, *OTHERS])
@pytest.mark.parametrize("spoiled", ["left out", "null", "empty", "another kind"])
def test_without_what_was_asked_for_an_answer_is_doubtful(kind: str, place: Place, spoiled: str) -> None:
    asked = call(*ASKED[kind])
    tree = answered(asked)
    where, name = place(tree)
    if spoiled == "left out":
        del where[name]
    else:
        where[name] = {"null": None, "empty": type(where[name])(), "another kind": {"error": 5}}[spoiled]
    assert judged(asked, tree).verdict == "doubtful"


@pytest.mark.parametrize(("kind", "place"), [*AS_LONG_AS_THE_PROTEIN, *ROWS])
@pytest.mark.parametrize("by", [-1, 1])
def test_an_answer_for_a_protein_of_another_length_is_doubtful(kind: str, place: Place, by: int) -> None:
    asked = call(*ASKED[kind])
    tree = answered(asked)
    where, name = place(tree)
    value = where[name]
    where[name] = value[:-1] if by < 0 else value + value[-1:]
    assert "length" in judged(asked, tree).faults


COMPLEX = example("fold_all_atom").body


@pytest.mark.parametrize(
    "change",
    [
        lambda found: {},
        lambda found: {"complex": None},
        lambda found: {**found, "complex": {**found["complex"], "sequence": []}},
        lambda found: {**found, "complex": {**found["complex"], "atom_positions": None}},
        lambda found: {**found, "complex": {**found["complex"], "atom_positions": [[1.0, 2.0]]}},
        lambda found: {**found, "complex": {**found["complex"], "token_to_atoms": [[0, 1]]}},
        lambda found: {**found, "complex": {**found["complex"], "sequence": ["ALA"], "token_to_atoms": [[0, 1]]}},
    ],
)
def test_a_complex_without_residues_or_atoms_is_doubtful(change: Callable[[Tree], Any]) -> None:
    asked = call("fold_all_atom", COMPLEX)
    assert judged(asked, change(answered(asked))).verdict == "doubtful"


@pytest.mark.parametrize(
    ("answer", "faults"),
    [
        ({}, ("hollow",)),
        ({"msa": []}, ("hollow",)),
        ({"msa": [""]}, ("length",)),
        ({"msa": ["ACDE", "AC"]}, ("length",)),
        ({"msa": ["WWWW", "ACDE"]}, ("echo",)),
        ({"msa": "ACDE"}, ("form",)),
        ({"msa": [["ACDE"]]}, ("form",)),
        ({"msa": ["ACDE", "A-DE", "ACgggD-"]}, ()),
    ],
)
def test_an_alignment_has_rows_of_one_width_beneath_its_query(answer: Tree, faults: tuple[str, ...]) -> None:
    assert judged(call("msa", {}, "sequence=ACDE"), answer).faults == faults


@pytest.mark.parametrize(
    ("kind", "place", "value", "fault"),
    [
        ("generate sequence", at("outputs", "sequence"), "AC_E|A", "masked"),
        ("generate sequence", at("outputs", "sequence"), "WCAE|A", "changed"),
        ("generate sequence", at("outputs", "sequence"), "ACAE|é", "ids"),
        ("generate structure", at("outputs", "sequence"), "WCDEFG", "echo"),
        ("generate structure", at("outputs", "coordinates"), [[[None] * 3] * 37] * 6, "hollow"),
        ("encode", at("outputs", "sequence"), [0, 9, 23, 32, 9, 31, 32, 2], "echo"),
        ("encode", at("outputs", "sequence"), [0, 5, 23, 99, 9, 31, 32, 2], "ids"),
        ("decode", at("outputs", "sequence"), "AG|W", "echo"),
        ("forward", at("sequence", "tokens"), [0, 5, 32, 7, 4, 4, 8, 2], "masked"),
        ("forward", at("structure", "tokens"), [4098, 9999, 1, 1, 1, 1, 1, 4097], "ids"),
        ("inverse_fold", at("sequence"), "AAAAA_", "masked"),
        ("inverse_fold", at("sequence"), "AAAAA5", "ids"),
        ("fold", at("coordinates"), [[[None] * 3] * 37] * 7, "hollow"),
    ],
)
def test_what_cannot_be_is_named(kind: str, place: Any, value: Any, fault: str) -> None:
    asked = call(*ASKED[kind])
    tree = answered(asked)
    where, name = place(tree)
    where[name] = value
    assert fault in judged(asked, tree).faults


@pytest.mark.parametrize("kind", ["generate structure", "encode", "decode", "generate_tensor sasa"])
def test_an_echo_that_is_not_compared_is_nobody_s_fault(kind: str) -> None:
    asked = call(*ASKED[kind])
    tree = answered(asked)
    sequence = tree["outputs"]["sequence"]
    tree["outputs"]["sequence"] = (
        "W" * len(sequence) if isinstance(sequence, str) else [0, *[4] * (len(sequence) - 2), 2]
    )
    assert judged(asked, tree, JudgeConfig(check_echo=False)).verdict == "fit"
    assert judged(asked, tree).faults == ("echo",)


def test_coordinates_of_the_ends_may_be_left_unknown() -> None:
    asked = call("generate_tensor", {**GENERATION, "track": "sequence", "inputs": TOKENS})
    tree = answered(asked)
    tree["outputs"]["coordinates"] = [NULLS, *COORDINATES, NULLS]
    assert judged(asked, tree).verdict == "fit"


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"outputs":{}}', "doubtful"),
        (b'{"outputs": {"sequence":[1]},"data":5}', "doubtful"),
        (b'{"data":{"outputs":{}}}', "doubtful"),
        (b'{"data":{"outputs":[]}}', "broken"),
        (b'{"data":[]}', "broken"),
        (b'{"data":"x"}', "broken"),
        (b'{"outputs":[]}', "broken"),
        (b'{"outputs":"x"}', "broken"),
        (b'{"outputs":null}', "broken"),
        (b'{"outputs":null,"data":{"outputs":{}}}', "broken"),
        (b'{"error":"x"}', "broken"),
        (b"{}", "broken"),
        (b"[]", "broken"),
        (b"", "broken"),
    ],
)
def test_an_answer_in_tokens_holds_outputs_or_is_broken(body: bytes, verdict: str) -> None:
    assert judged(call(*ASKED["generate_tensor sequence"]), body).verdict == verdict


def test_where_the_sdk_looks_is_judged_as_it_is_after_repairs() -> None:
    """Without the odd `outputs` the SDK looks into `data`, where there is nothing."""
    asked = call(*ASKED["fold"])
    spoiled = {**answered(asked), "outputs": "x", "data": {"plddt": None}}
    judgement = judged(asked, spoiled)
    assert (judgement.verdict, judgement.faults, judgement.repairs) == ("doubtful", ("hollow",), ("strings",))


@pytest.mark.parametrize(
    "more",
    [
        b'"a\\"b":1',
        b'"a\\u0022b":[1]',
        b'"note":{"a":1,"a":"\\u0022\\u0022\\u0022"}',
        b'"deep":' + b"[" * 900 + b"]" * 900,
        b'"deep":' + b"[" * 900 + b'"x"' + b"]" * 900,
        b'"coordinates":[                      ]',
        b'"plddt":"' + b"x" * 100_000 + b'"',
    ],
)
def test_an_odd_spelling_ends_in_a_judgement_and_what_passes_passes_again_unchanged(more: bytes) -> None:
    asked = call(*ASKED["fold"])
    body = orjson.dumps(answered(asked))[:-1] + b"," + more + b"}"
    judgement = judged(asked, body)
    if judgement.verdict == "fit":
        assert judged(asked, judgement.body or body) == Judgement("fit")
    else:
        assert judgement.verdict in ("doubtful", "broken")


@pytest.mark.parametrize("breaks", [0, 1])
def test_between_chains_there_may_be_a_row_of_coordinates_or_none(breaks: int) -> None:
    asked = call("fold", {"model": ESM3, "sequence": "ACDE|FGH"})
    rows = 8 - breaks
    tree = {"coordinates": [[[1.0, 2.0, 3.0]] * 37] * rows, "plddt": [0.5] * rows, "ptm": 0.5}
    assert judged(asked, tree).verdict == "fit"
    tree["coordinates"] = [[[1.0, 2.0, 3.0]] * 37] * 6
    assert judged(asked, tree).faults == ("length",)
