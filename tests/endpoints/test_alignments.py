"""Alignments packed into a body: read like plain ones, forwarded as they came, refused by place and reason."""

import base64
import json
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
import zstandard

from gateway import endpoints
from gateway.core.packed_json import TakesLongError
from gateway.core.problems import Problem
from tests.endpoints.alignments import packed, rows
from tests.endpoints.examples import ESM3, RULES, call, forwarded, least

(FOLD,) = (endpoint for endpoint in endpoints.ENDPOINTS if endpoint.name == "fold")
# Of esm 3.4.1: compress_state_dict(MSA.from_sequences(["ACDEFG", "A-DEFG"])).
OF_THE_SDK = packed(b'{"sequences": ["ACDEFG", "A-DEFG"]}')
WHOLE = {
    "sequences": ["ACDEFG", "A-DEFG"],
    "deletions": [[0.0, 1.0, 0.0, 0.0, 0.0, 12.0], [0.0] * 6],
    "headers": ['Äther "x\\y" [Homo, sapiens] {"deletions": [[', "\\\\"],
}


def reason(msa: Any, **rules: Any) -> str:
    """Why fold refuses this alignment."""
    with pytest.raises(Problem) as caught:
        call("fold", least("fold", msa=msa), rules=replace(RULES, **rules))
    (error,) = caught.value.errors
    assert error.pointer == "/msa"
    return error.detail


@pytest.mark.parametrize(
    "alignment",
    [
        {"sequences": ["ACDEFG"]},
        {"sequences": ["ACDEFG"] * 3, "headers": ["a", "b", "c"]},
        WHOLE,
        {**WHOLE, "deletions": None, "headers": None},
        {**WHOLE, "deletions": []},
        {**WHOLE, "deletions": [[], []]},
        {**WHOLE, "deletions": [[1, 2], [3e1, -1]]},
        json.dumps(WHOLE, indent=2, ensure_ascii=False).encode(),
        json.dumps(WHOLE, separators=(",", ":")).encode(),
        b' {"deletions" : [ [ 0 ] , [ 1 ] ] , "sequences":["A","C"]} ',
    ],
)
def test_an_alignment_is_forwarded_as_it_came(alignment: Any) -> None:
    assert forwarded("fold", least("fold", msa=packed(alignment)))["msa"] == packed(alignment)
    chain = {"type": "protein", "id": "A", "sequence": "ACDEFG", "msa": packed(alignment)}
    body = {"model": ESM3, "all_atom_input": {"sequences": [chain]}}
    assert forwarded("fold_all_atom", body) == body


@pytest.mark.parametrize(
    ("alignment", "why"),
    [
        (b"", "JSON"),
        (b"[1,", "JSON"),
        (b'{"sequences": ["A"]} {}', "JSON"),
        (b'{"sequences": [NaN]}', "JSON"),
        (b"\xff\xfe", "JSON"),
        ([], "should be"),
        ({}, "/sequences: this member is required"),
        ({"sequences": []}, "/sequences"),
        ({"sequences": "ACD"}, "/sequences"),
        ({"sequences": ["A", 5]}, "/sequences/1"),
        ({"sequences": ["A"] * 16385}, "/sequences"),
        ({"sequences": ["A"], "headers": [None]}, "/headers/0"),
        ({"sequences": ["A"], "entries": []}, "/entries: no such member"),
        ({**WHOLE, "deletions": [[1], [1, 2]]}, "rows of one length"),
        ({**WHOLE, "deletions": [1, 2]}, "/deletions"),
        ({**WHOLE, "deletions": [[[1]]]}, "/deletions/0"),
        ({**WHOLE, "deletions": [["1"]]}, ""),
        ({**WHOLE, "deletions": [[None]]}, ""),
        ({**WHOLE, "deletions": {"a": 1}}, "/deletions"),
        ({**WHOLE, "deletions": [[0]] * 16385}, "at most 16384"),
        (b'{"sequences":["A"],"deletions":[[1],,[2]]}', "/deletions/1"),
        (b'{"sequences":["A"],"deletions":[[1] [2]]}', "/deletions/1"),
        (b'{"sequences":["A"],"deletions":[[1],]}', "/deletions/1"),
        (b'{"sequences":["A"],"deletions":[[1,]]}', "/deletions/0"),
        (b'{"sequences":["A"],"deletions":[[01]]}', "/deletions/0"),
        (b'{"sequences":["A"],"deletions":[[1.2.3]]}', "/deletions/0"),
        (b'{"sequences":["A"],"deletions":[[1]]]}', "/deletions/1"),
        (b'{"sequences":["A"],"deletions":[[1]', "/deletions/0"),
        (b'{"sequences":["A"],"deletions":[[1]}', "/deletions/0"),
        (b'{"sequences":["A"],"deletions":[[1],[]}', "/deletions/1"),
        (b'{"sequences":["A"],"deletions":[,[1]]}', "/deletions/0"),
        (b'{"sequences":["A"],"deletions":[[1,[2]]}', "/deletions/0"),
        (b'{"sequences":["A"],"deletions":[1]]}', "/deletions/0"),
        (b'{"sequences":["A"],"deletions":[[1][2]]}', "/deletions/1"),
        (b'{"sequences":["A"],"deletions":[[],]}', "/deletions/1"),
        (b'{"sequences":["A"],"sequences":["C"]}', "repeated"),
        (b'{"sequences":["A"],"headers":["\\"x"],"headers":["y"]}', "repeated"),
        (b'{"sequences":["A"],"deletions":[[1]],"deletions":null}', "repeated"),
        (b'{"sequences":["A"],"deletions":[[1]],"deletions":[[2]]}', "repeated"),
        (b'{"sequences":["A"],"deletions":[[1]],"d\\u0065letions":null}', "repeated"),
        (b'{"sequences":[{"deletions":[[1]]}]}', "/sequences/0"),
    ],
)
def test_a_packed_alignment_that_is_none_is_refused_by_place(alignment: Any, why: str) -> None:
    said = reason(packed(alignment))
    assert said.startswith("packed: ")
    assert why in said


@pytest.mark.parametrize("secret", ["MKTAYIAKQR", "ACDEFGHIKL"])
def test_the_reason_repeats_nothing_of_the_alignment(secret: str) -> None:
    for alignment in ({"sequences": [secret, 5]}, {"sequences": secret}, {"sequences": ["A"], "headers": {secret: 1}}):
        assert secret not in reason(packed(alignment))


@pytest.mark.parametrize("most", [16, 100, 4096])
def test_what_unpacks_to_more_than_the_setting_is_refused(most: int) -> None:
    said = reason(packed({"sequences": rows(1000)}), max_unpacked_bytes=most)
    assert f"more than the {most} bytes" in said


def test_the_bound_is_for_all_chains_of_a_complex_together() -> None:
    one = packed({"sequences": rows(100)})
    size = zstandard.frame_content_size(base64.b64decode(one))
    chains = [{"type": "protein", "id": f"A{i}", "sequence": "ACDEFG", "msa": one} for i in range(3)]
    body = {"model": ESM3, "all_atom_input": {"sequences": chains}}
    assert call("fold_all_atom", body, rules=replace(RULES, max_unpacked_bytes=3 * size)).length == 18
    with pytest.raises(Problem) as caught:
        call("fold_all_atom", body, rules=replace(RULES, max_unpacked_bytes=3 * size - 1))
    assert [error.pointer for error in caught.value.errors] == ["/all_atom_input/sequences/2/msa"]


MANY = 2**20
CROWDS = [
    b'{"sequences":["A"],"headers":[' + b"[]," * MANY + b"[]]}",
    b'{"sequences":["A"],"headers":[' + b"{}," * MANY + b"{}]}",
    b'{"sequences":["A"],"headers":[' + b"1.5," * MANY + b"1]}",
    b'{"sequences":["A"],"headers":[' + b'"ab",' * MANY + b'""]}',
    b'{"sequences":["A"],"d\\u0065letions":[[' + b"1.5," * MANY + b"1]]}",
    b'{"sequences":["A"],"deletions":[' + b"[]," * MANY + b"[]]}",
]


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_crowd_of_small_parts_takes_no_more_memory_than_a_few_times_its_text(crowd: bytes) -> None:
    msa = packed(crowd)
    tracemalloc.start()
    reason(msa)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(crowd) + 2**20


def test_deletions_are_read_in_little_memory() -> None:
    text = json.dumps({"sequences": rows(2000), "deletions": [[0.5 + i for i in range(300)]] * 2000}).encode()
    msa = packed(text)
    tracemalloc.start()
    call("fold", least("fold", msa=msa))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * len(text)


def test_a_reader_that_may_not_take_long_is_told_so() -> None:
    quick = replace(RULES, at_once_bytes=1000)
    assert call("fold", least("fold", msa=OF_THE_SDK), rules=quick).length == 8
    with pytest.raises(TakesLongError):
        call("fold", least("fold", msa=packed({"sequences": rows(1000)})), rules=quick)


def test_what_is_small_outside_and_large_inside_is_not_read_at_once() -> None:
    small, large = packed({"sequences": rows(2)}), packed({"sequences": rows(16384)})
    for msa, at_once in ((small, True), (large, False)):
        body = json.dumps(least("fold", msa=msa)).encode()
        assert len(body) < 2048
        assert (FOLD.parse_at_once(body, "", RULES) is not None) is at_once
