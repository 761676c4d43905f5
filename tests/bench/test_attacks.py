"""Attacks are what they say they are, and who is hurt by one is said to be hurt."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.attacks import bodies, calls
from bench.attacks.attack import ATTACKERS, TRUDY, Attack, Attacker
from bench.attacks.catalogue import ATTACKS
from bench.attacks.crashing import ATTACKS as CRASHING
from bench.attacks.resources import flat
from bench.attacks.verdict import as_text, judged
from gateway.core.endpoint import ParseConfig
from gateway.core.problems import Problem
from gateway.endpoints.generate_tensor import ENDPOINT
from gateway.sandbox.answers import ENDPOINTS, Asked
from gateway.sandbox.bodies import RefusedError
from gateway.sandbox.faults import Rules

ROOT = Path(__file__).parents[2]
RULES = ParseConfig({"esm3-open-2024-03": 1.0})
# 30 MiB each in memory, or seconds to make; their making is seen below at a smaller size.
SLOW_TO_MAKE = ("odd/packed", "odd/alignments", "answers/items-30")


class Noted(Attacker):
    """Notes what is made, and never begins."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", {user: f"key-of-{user}" for user in ATTACKERS}, workers=1)
        self.made: list[tuple[str, bytes, str]] = []
        self.sent: list[bytes] = []

    def request(self, target: str, body: bytes, *headers: str, user: str = "mallory") -> bytes:
        self.made.append((target, body, user))
        self.sent.append(super().request(target, body, *headers, user=user))
        return self.sent[-1]


async def prepared(attack: Attack) -> Noted:
    attacker = Noted()
    sending = asyncio.create_task(attack.send(attacker))
    waiting = asyncio.create_task(attacker.prepared.wait())
    await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_COMPLETED)
    sending.cancel()
    waiting.cancel()
    assert attacker.prepared.is_set(), sending.exception()
    return attacker


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in SLOW_TO_MAKE])
def test_an_attack_is_prepared_before_it_begins_and_its_faults_are_such_as_the_upstream_knows(name: str) -> None:
    attacker = asyncio.run(prepared(ATTACKS[name]))
    assert not attacker.told
    Rules.model_validate({"rules": [dict(rule) for rule in ATTACKS[name].rules]})
    # The watched user's calls are generate_tensor: an upstream that fails on those would be nobody's attack.
    assert all(rule["endpoint"] != "generate_tensor" for rule in ATTACKS[name].rules)


def test_there_are_variants_of_each_kind_of_attack_and_each_says_what_it_is() -> None:
    kinds = [name.partition("/")[0] for name in ATTACKS]
    assert min(kinds.count(kind) for kind in kinds) >= 3
    assert len({attack.about for attack in ATTACKS.values()}) == len(ATTACKS)


@pytest.mark.parametrize("name", [attack.name for attack in CRASHING if not attack.rules])
def test_a_crashing_call_is_one_that_the_upstream_answers_with_500(name: str) -> None:
    made = asyncio.run(prepared(ATTACKS[name])).made
    for target, body, _ in made[:5]:
        endpoint = target.removeprefix(calls.API)
        with pytest.raises(RefusedError) as refused:
            ENDPOINTS[endpoint](Asked(orjson.loads(body), {}))
        assert refused.value.status == 500


@pytest.mark.parametrize("name", [attack.name for attack in CRASHING if attack.rules])
def test_a_call_that_crashes_by_a_fault_of_the_upstream_is_a_good_one_otherwise(name: str) -> None:
    target, body, _ = asyncio.run(prepared(ATTACKS[name])).made[0]
    endpoint = target.removeprefix(calls.API)
    assert ENDPOINTS[endpoint](Asked(orjson.loads(body), {})).answer
    assert {rule["endpoint"] for rule in ATTACKS[name].rules} == {endpoint}


def test_distinct_calls_are_distinct_and_two_keys_are_two() -> None:
    distinct = asyncio.run(prepared(ATTACKS["crashing/distinct"])).made
    assert len({body for _, body, _ in distinct}) == len(distinct) >= 300
    two = asyncio.run(prepared(ATTACKS["crashing/two-keys"])).made
    assert {user for _, _, user in two} == {"mallory", TRUDY}
    assert len({body for _, body, _ in two}) == 1


def few_faults() -> Sequence[bytes]:
    """The bodies of small faults, with a few kB of them."""
    return (
        *(bodies.in_place_of(b"sequence", bodies.repeated(item, 3000)) for item in (b"99", b"[]", b"{}")),
        bodies.in_place_of(b"sequence", bodies.repeated(b"5", 30_000)),
        bodies.in_place_of(b"invalid_ids", bodies.repeated(b'""', 3000)),
        bodies.in_place_of(b"sequence", b"[" * 900 + b"]" * 900),
        calls.generate_tensor(1)[:-1] + b',"model":"x"}',
        calls.generate_tensor(1)[:-1] + b',"m1":0}',
    )


def test_faulty_bodies_are_refused_for_what_is_wrong_with_them_and_a_good_one_is_not() -> None:
    assert ENDPOINT.parse(calls.generate_tensor(1), "", RULES).determinism.cls == "exact"
    for body in few_faults():
        with pytest.raises(Problem):
            ENDPOINT.parse(body, "", RULES)


def test_a_faulty_body_has_the_size_that_it_says() -> None:
    for body in (
        bodies.track_of(b"99", 1),
        bodies.members(lambda n: f"m{n}", 1),
        bodies.nested(1),
        bodies.wrong_atoms(1),
    ):
        assert 0.9 * bodies.MIB < len(body) < 1.3 * bodies.MIB


def test_a_withheld_body_announces_more_than_it_sends_and_one_in_chunks_announces_nothing() -> None:
    head = bodies.begun(Noted(), 1000, "Expect: 100-continue")
    assert head.endswith(b"\r\n\r\n")
    assert b"\r\nContent-Length: 1000\r\n" in head
    assert b"\r\nExpect: 100-continue\r\n" in head
    assert b"\r\nAuthorization: Bearer key-of-mallory\r\n" in head
    assert b"Transfer-Encoding: chunked" in bodies.in_chunks(Noted(), 2 * 65536)
    assert b"Content-Length" not in bodies.in_chunks(Noted(), 2 * 65536)
    assert bodies.in_chunks(Noted(), 2 * 65536).count(b"10000\r\n") == 2


@pytest.mark.parametrize(
    "name", ["odd/namespaces", "odd/pools", "odd/not-in-cache", "odd/no-cache", "odd/cache-control"]
)
def test_an_attack_by_header_fields_sends_them(name: str) -> None:
    sent = asyncio.run(prepared(ATTACKS[name])).sent
    heads = [data.partition(b"\r\n\r\n")[0] for data in sent]
    assert all(b"\r\nCache-Control: " in head or b"\r\nIf-None-Match: " in head for head in heads)


def felt(**more: Any) -> dict[str, Any]:
    good = {"sent": 100, "answered": 1.0, "p50_ms": 1.0, "p99_ms": 4.0, "max_ms": 5.0, "own_p99_ms": 0.5, "hits": 100}
    return {**good, "statuses": {"200": 100}, "problems": {}, **more}


def result(cold: dict[str, Any] | None = None, hits: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "attack": "x/y",
        "plan": {"memory_mb": 640.0, "workers": 2},
        "alone": {"cold": felt(), "hits": felt()},
        "beside": {"cold": felt(**(cold or {})), "hits": felt(**(hits or {}))},
        "attacker": {"told": {"sent": 10}, "problems": {}},
        "attacker_upstream_calls": 0,
        "audit_bytes": 0,
        **{"rss_mb_first": 200.0, "rss_mb_last": 200.0, "rss_mb_most_of_one": 110.0, "flat": True},
        **{"descriptors_most_of_one": 30, "descriptors_last": 60, "workers_died": 0},
        **more,
    }


def missed(made: dict[str, Any]) -> list[str]:
    told = judged(made)
    names = [bar["name"] for bar in told["bars"] if not bar["met"]]
    assert told["passed"] == (not names)
    assert ("FAIL" in as_text([told])) == bool(names)
    return names


def test_nobody_was_hurt_where_all_is_as_it_was() -> None:
    assert missed(result()) == []
    assert missed(result(cold={"answered": 0.99}, hits={"answered": 0.99, "p99_ms": 20.0})) == []


@pytest.mark.parametrize(
    ("made", "bar"),
    [
        (result(cold={"answered": 0.98, "statuses": {"200": 98, "503": 2}}), "cold calls answered"),
        (result(hits={"answered": 0.5}), "hits answered"),
        (result(hits={"p99_ms": 20.1}), "p99 of hits, ms"),
        (result(hits={"p99_ms": None}), "p99 of hits, ms"),
        (result(rss_mb_most_of_one=641.0), "memory of one worker, MiB"),
        (result(flat=False), "memory grows on"),
        (result(audit_bytes=33_000), "audit record, kB"),
        (result(workers_died=1), "workers that died"),
    ],
)
def test_each_way_of_being_hurt_is_noticed(made: dict[str, Any], bar: str) -> None:
    assert missed(made) == [bar]


def test_a_slow_machine_is_given_twice_what_it_took_without_the_attack() -> None:
    slow = result(hits={"p99_ms": 59.0})
    slow["alone"]["hits"] = felt(p99_ms=30.0)
    assert missed(slow) == []
    slow["beside"]["hits"] = felt(p99_ms=61.0)
    assert missed(slow) == ["p99 of hits, ms"]


def test_memory_that_was_needed_before_may_be_needed_again_and_growth_is_noticed() -> None:
    assert flat([100, 300, 200, 100, 290, 330])
    assert not flat([100, 150, 200, 250, 300, 350])
    assert not flat([100, 101, 100, 100, 100, 130])


def test_the_program_watches_a_user_beside_a_flood_and_says_what_was_felt(tmp_path: Path) -> None:
    """Refusals beyond the rate, in a few seconds, by the program as it is called."""
    words = ["refusals/rate", "--baseline-s", "1", "--seconds", "2", "--rate", "10", "--workers", "1"]
    run = subprocess.run(
        [sys.executable, "-m", "bench.attacks", *words, "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "refusals/rate" in run.stdout, run.stderr
    (kept,) = tmp_path.glob("attacks-*.local.json")
    (seen,) = json.loads(kept.read_text())["attacks"]
    assert run.returncode == (0 if seen["passed"] else 1)
    assert [seen["beside"][kind]["sent"] for kind in ("cold", "hits")] == [20, 20]
    assert seen["beside"]["hits"]["answered"] == seen["beside"]["cold"]["answered"] == 1.0
    assert seen["beside"]["hits"]["hits"] == 20
    assert seen["beside"]["cold"]["hits"] == 0
    told = seen["attacker"]["told"]
    assert told["sent"] > 50
    # Two a minute are let through: everything else was refused for its rate or waits for it.
    assert told.get("200", 0) <= 3
    assert set(told) <= {"sent", "200", "429", "unanswered"}
    assert seen["attacker_upstream_calls"] <= 3
    assert seen["workers_died"] == 0
    assert 30 < seen["rss_mb_first"] < seen["rss_mb_most_of_one"] + 1 < 641
    assert len(seen["rss_mb_by_second"]) >= 2


def test_a_name_that_is_no_attack_is_refused_and_the_list_names_all() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bench.attacks", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert "no such attack: kindness" in run("kindness").stderr
    assert [line.split()[0] for line in run("--list").stdout.splitlines()] == list(ATTACKS)
