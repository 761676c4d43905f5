"""The audit record from the command line: what is not as it was written is named, with an exit status."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.adapters.redis_connect import connect
from tests.cli.conftest import Line
from tests.contracts.servers import Stores


def record_of(line: Line) -> Path:
    return line.directory / "data" / "audit" / "audit.jsonl"


def written(line: Line, keys: int = 2) -> Path:
    for _ in range(keys):
        line.said("keys", "create", "--user", "ada")
    return record_of(line)


def on_heads(stores: Stores, *words: str) -> Any:
    async def act() -> Any:
        store = connect(stores.state.url, timeout_s=5.0, name="test")
        try:
            return await store.call("test", words[0], "esmgw:{audit}:heads", *words[1:])
        finally:
            await store.close()

    return asyncio.run(act())


def chain_in(path: Path) -> str:
    return str(orjson.loads(path.read_bytes().splitlines()[0])["facts"]["chain"])


def test_an_intact_record_is_named_by_its_chain_and_its_end(line: Line) -> None:
    path = written(line)
    told = line.json("audit", "verify")
    assert (told["records"], told["first"], told["compared"], told["files"]) == (3, 1, True, [str(path)])
    assert told["chain"] == chain_in(path)
    assert "3 records, the chain is intact" in line.said("audit", "verify")


def test_records_without_a_head_do_not_verify_and_need_a_word(line: Line, stores: Stores) -> None:
    path = written(line)
    on_heads(stores, "HDEL", chain_in(path))
    assert "the state store holds no head of their chain" in line.refusal("audit", "verify")
    assert line.json("audit", "verify", "--no-head")["records"] == 3
    assert "holds no head" in line.refusal("keys", "create", "--user", "ada")
    assert "audit accept" in line.refusal("keys", "create", "--user", "ada")
    assert "Accepted" in line.said("audit", "accept", "--yes", "--by", "grace")
    written(line, 1)
    assert line.json("audit", "verify")["records"] == 5
    assert line.json("audit", "tail", "-n", "2")[0]["kind"] == "chain_accepted"
    assert "nothing was changed" in line.said("audit", "accept", "--yes")


@pytest.mark.parametrize("emptied", [True, False])
def test_a_head_without_records_does_not_verify_and_nothing_is_begun(line: Line, emptied: bool) -> None:
    path = written(line)
    path.unlink()
    if emptied:
        path.touch()
    assert "records up to 3 were written, and are missing" in line.refusal("audit", "verify")
    assert "no audit file" in line.refusal("keys", "create", "--user", "ada")
    line.said("audit", "accept", "--yes")
    written(line, 1)
    assert line.json("audit", "verify")["records"] == 3


@pytest.mark.parametrize("kept", [1, 2])
def test_a_record_that_was_cut_does_not_verify_whatever_the_machine_is_called(
    line: Line, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(line)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
    monkeypatch.setattr("platform.node", lambda: "another-container")
    assert "records up to 3 were written, and are missing" in line.refusal("audit", "verify")
    assert f"ends at record {kept}; 3 were written" in line.refusal("keys", "create", "--user", "ada")


def test_the_head_of_another_chain_in_this_one_s_place_is_none(line: Line, stores: Stores) -> None:
    path = written(line)
    on_heads(stores, "HSET", chain_in(path), "9:junk")
    assert "no head" in line.refusal("audit", "verify")


def test_a_chain_through_many_files_is_verified_through_all_of_them(line: Line) -> None:
    line.config.write_text(line.config.read_text() + "[audit]\nsegment_bytes = 1500\n")
    path = written(line, 8)
    told = line.json("audit", "verify")
    files = [Path(file) for file in told["files"]]
    assert len(files) > 2
    assert files[-1] == path
    assert told["records"] == 8 + len(files)
    assert len(line.json("audit", "tail", "-n", "100")) == told["records"]
    assert line.json("audit", "verify", *reversed(told["files"]))["records"] == told["records"]
    middle = files[1].read_bytes()
    files[1].write_bytes(middle.replace(b'"user":"ada"', b'"user":"bob"', 1))
    assert f"{files[1]}, line " in line.refusal("audit", "verify")
    files[1].unlink()
    assert "are missing before it" in line.refusal("audit", "verify")
    files[1].write_bytes(middle)
    first = files[0].read_bytes()
    files[0].unlink()
    assert "records 1 to " in line.refusal("audit", "verify")
    assert line.json("audit", "verify", "--archived")["first"] == first.count(b"\n") + 1
    files[-1].write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:1]))
    assert "are missing" in line.refusal("audit", "verify", "--archived")


def test_a_record_that_logrotate_moves_stops_nobody(line: Line) -> None:
    path = written(line)
    path.rename(path.with_name("audit.1"))
    line.said("keys", "create", "--user", "ada")
    told = line.json("audit", "verify")
    assert (told["records"], [Path(file).name for file in told["files"]]) == (5, ["audit.1", "audit.jsonl"])


def test_a_record_in_another_place_than_it_was_written_to_needs_a_word(line: Line) -> None:
    path = written(line)
    path.parent.rename(path.parent.with_name("moved"))
    line.config.write_text(line.config.read_text() + '[audit]\nfile = "data/moved/audit.jsonl"\n')
    assert "was last written to" in line.refusal("audit", "verify")
    line.said("audit", "accept", "--yes")
    assert line.json("audit", "verify")["records"] == 4
