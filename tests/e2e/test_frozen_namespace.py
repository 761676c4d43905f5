"""A notebook, recorded once: replayed with the upstream switched off, and on another gateway, byte for byte."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from tests.e2e.labs import Lab, Sandbox, post, receipt
from tests.e2e.product import until

MODEL = "esm3-open-2024-03"
UBIQUITIN = json.loads((Path(__file__).parents[1] / "proteins" / "ubiquitin.json").read_text())
# So many positions to draw that no two draws are ever equal by chance.
TOKENS = {"sequence": [0, 20, *[32] * 60, 9, 2], "structure": [4098, *[4096] * 62, 4097]}
NAMESPACE = "paper-2026"


def generation(track: str, **parameters: Any) -> tuple[str, dict[str, Any]]:
    return "generate_tensor", {"model": MODEL, "track": track, "inputs": TOKENS, "num_steps": 3, **parameters}


GREEDY = {"temperature": 0, "strategy": "entropy", "temperature_annealing": False}
FLAGGED = generation("sequence", potential_sequence_of_concern=True)
NOTEBOOK: tuple[tuple[tuple[str, dict[str, Any]], str], ...] = (
    (("encode", {"model": MODEL, "inputs": {"sequence": "MQIF_KTLT"}}), ""),
    (generation("sequence", **GREEDY), ""),
    (generation("structure", **GREEDY), ""),
    (generation("secondary_structure", temperature=0), ""),
    (generation("sasa", temperature=0.7), ""),
    (generation("function", temperature=1.0, strategy="random"), ""),
    (generation("sequence", temperature=1.0), ""),
    (generation("sequence", temperature=1.0), "sample=2"),
    (generation("sequence", temperature=1.0), "pool=lab, sample=3"),
    (("decode", {"model": MODEL, "inputs": {"sequence": TOKENS["sequence"]}}), ""),
    (("fold", {"model": MODEL, "sequence": "MQIFVKTLTG"}), ""),
    (("encode", {"model": MODEL, "inputs": {"sequence": UBIQUITIN["sequence"]}}), ""),
    # Two repeats of one draw, whichever of the workers they meet; each run of the notebook has a token of its own.
    (generation("sequence", temperature=0.9), "sample=next, run={run}"),
    (generation("sequence", temperature=0.9), "sample=next, run={run}"),
)


class Run:
    """The whole notebook, once: answers, what was said of them, and that the flagged cell was refused."""

    def __init__(self, lab: Lab, key: str, named: bool = True) -> None:
        self.lab, self.key, self.named = lab, key, named

    async def __call__(self) -> tuple[list[bytes], list[Mapping[str, str]]]:
        async with aiohttp.ClientSession() as session:
            bodies, heads, run = [], [], uuid4()
            for call, told in NOTEBOOK:
                asked = told.format(run=run)
                words = ", ".join(word for word in (f"namespace={NAMESPACE}" if self.named else "", asked) if word)
                status, headers, body = await post(self.lab, session, self.key, call, words)
                assert status == 200, (call[0], status)
                bodies.append(body)
                heads.append(headers)
            assert (await post(self.lab, session, self.key, FLAGGED, f"namespace={NAMESPACE}"))[0] == 403
            return bodies, heads

    async def receipts(self, heads: list[Mapping[str, str]]) -> list[Mapping[str, Any]]:
        """What they say; their identifiers are each gateway's own."""
        async with aiohttp.ClientSession() as session:
            return [await receipt(self.lab, session, self.key, head["X-Gateway-Receipt"]) for head in heads]

    @staticmethod
    def facts(told: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """What every gateway says of an answer: not its own identifier, nor where it has the answer from."""
        own = ("receipt", "short", "origin", "citation", "imported")
        return [{name: value for name, value in each.items() if name not in own} for each in told]

    async def status_of(self, call: tuple[str, Mapping[str, Any]]) -> int:
        async with aiohttp.ClientSession() as session:
            return (await post(self.lab, session, self.key, call, f"namespace={NAMESPACE}"))[0]


def new_key(lab: Lab, *words: str) -> str:
    return str(lab.command("keys", "create", "--user", "ada", "--by", "root", *words)["key"])


async def known(run: Run) -> None:
    """Until the workers have seen the namespace (twice a second)."""

    async def answered() -> bool:
        return await run.status_of(NOTEBOOK[0][0]) == 200

    await until(answered)


async def closed(run: Run) -> None:
    """Until no worker takes anything new."""
    fresh = generation("sequence", temperature=0.01)

    async def refused() -> bool:
        return {await run.status_of(fresh) for _ in range(12)} == {404}

    await until(refused)


def is_hit(head: Mapping[str, str]) -> bool:
    return "; hit" in head["Cache-Status"]


def recorded(here: Lab, sandbox: Sandbox) -> list[bytes]:
    """The notebook's answers: run in a live namespace, which is frozen and replayed after the upstream has gone."""
    run = Run(here, new_key(here))
    here.command("cache", "namespace", "create", NAMESPACE, "--note", "Figure 3")
    asyncio.run(known(run))
    first, _ = asyncio.run(run())
    assert len({first[6], first[7], first[8], first[-2], first[-1]}) == 5  # each sample is another one
    frozen = here.command("cache", "namespace", "freeze", NAMESPACE)
    assert (frozen["state"], frozen["entries"]) == ("frozen", len(NOTEBOOK))
    sandbox.killed()
    asyncio.run(closed(run))
    again, heads = asyncio.run(run())
    assert again == first
    assert all(map(is_hit, heads))
    return first


def carried(here: Lab, first: list[bytes], file: Path) -> tuple[str, list[Mapping[str, Any]]]:
    """Replayed once more with nothing left in any memory, and exported: the file's digest, and what receipts say."""
    run = Run(here, new_key(here))
    again, heads = asyncio.run(run())
    assert again == first
    by_key = Run(here, new_key(here, "--namespace", NAMESPACE), named=False)
    assert asyncio.run(by_key())[0] == first
    exported = here.command("cache", "namespace", "export", NAMESPACE, str(file))
    assert (exported["entries"], exported["omitted"]) == (len(NOTEBOOK), 0)
    assert file.stat().st_mode & 0o777 == 0o600
    return exported["sha256"], asyncio.run(run.receipts(heads))


def test_a_notebook_is_replayed_without_the_upstream_here_and_where_its_record_was_imported(tmp_path: Path) -> None:
    sandbox, file, copy = Sandbox(), tmp_path / "paper.zst", tmp_path / "again.zst"
    here, there = Lab(tmp_path / "here", sandbox.url), Lab(tmp_path / "there", "http://127.0.0.1:9")
    try:
        with here.serving():
            first = recorded(here, sandbox)
        with here.serving():
            digest, cited = carried(here, first, file)
        with there.serving():
            run = Run(there, new_key(there))
            key = here.command("cache", "signing-key")["public_key"]
            assert key in there.refusal("cache", "namespace", "import", str(file))
            assert there.command("cache", "namespace", "import", str(file), "--trust", key)["sha256"] == digest
            asyncio.run(known(run))
            replayed, heads = asyncio.run(run())
            assert replayed == first
            assert all(map(is_hit, heads))
            told = asyncio.run(run.receipts(heads))
            assert run.facts(told) == run.facts(cited)
            assert {each["origin"] for each in cited} == {"computed"}
            origins = [(each["origin"], each["imported"]["signed_by"], each["imported"]["signature"]) for each in told]
            assert set(origins) == {("imported", key, "trusted")}
            assert [each["imported"]["issued_as"] for each in told] == [each["short"] for each in cited]
            assert all('; imported, signature trusted"' in head["Cache-Status"] for head in heads)
            assert asyncio.run(run.status_of(generation("sasa", temperature=0.9))) == 404
            there.command("cache", "namespace", "export", NAMESPACE, str(copy))
            assert there.command("cache", "namespace", "import", str(copy), "--as", "again")["entries"] == len(NOTEBOOK)
            file.write_bytes(file.read_bytes()[:-100])
            assert "damaged or cut off" in there.refusal("cache", "namespace", "import", str(file), "--as", "cut")
    finally:
        sandbox.killed()
