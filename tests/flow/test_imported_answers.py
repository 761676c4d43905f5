"""An imported file is held to what an answer of the upstream is held to, and an export never hands code on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.core import export_format, namespace_entry
from gateway.core.export_format import ExportRow
from gateway.flow.admin_arguments import InvalidArgument
from gateway.wiring.cache_config import sealing_keys
from tests.flow.harness import MASTER
from tests.flow.test_namespace_transfer import OTHER, Lab, chunks, play, rewritten


def answering_otherwise(change: Callable[[dict[str, Any]], Any]) -> Callable[[list[ExportRow]], list[ExportRow]]:
    """The first call of the file has another answer."""

    def changed(rows: list[ExportRow]) -> list[ExportRow]:
        entry = rows[0].entry
        body = orjson.dumps(change(orjson.loads(entry.answer.body)))
        return [replace(rows[0], entry=replace(entry, answer=replace(entry.answer, body=body))), *rows[1:]]

    return changed


def outputs(**tracks: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda tree: {**tree, "outputs": {**tree["outputs"], **tracks}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tree: {**tree, "logits": "KLUv"}, "the SDK would run it as code"),
        (lambda tree: {"data": {"outputs": {}, "embeddings": [["KLUv"]]}}, "the SDK would run it as code"),
        (lambda tree: {"outputs": {}}, "what was asked for is missing"),
        (lambda tree: {"error": "x"}, "not one whole JSON object"),
        (outputs(sequence=[0, 7, 6, 7, 2]), "positions that were not masked have changed"),
        (outputs(sequence=[0, 32, 5, 32, 2]), "masked positions are left"),
        (outputs(structure=[4098, 1, 2, 3, 4097]), "did not come back as they were"),
    ],
)
def test_an_answer_that_would_not_be_kept_is_not_imported(change: Any, words: str) -> None:
    async def story() -> None:
        content = await (await Lab().recorded()).exported()
        other = Lab(OTHER)
        with pytest.raises(InvalidArgument) as caught:
            await other.loaded(rewritten(content, answering_otherwise(change)))
        assert "Answer 1 in it is refused" in str(caught.value)
        assert words in str(caught.value)
        assert "KLUv" not in str(caught.value)
        assert not other.memory.namespace_store.named

    play(story)


def test_an_imported_answer_loses_the_texts_that_do_not_belong_there() -> None:
    async def story() -> None:
        content = await (await Lab().recorded()).exported()
        noisy = answering_otherwise(lambda tree: {**tree, "note": "KLUv", "warning_messages": ["\x1b[2Jx"]})
        other = await Lab().loaded(rewritten(content, noisy))
        first = (await other.replay())[0]
        assert first.status == 200
        tree = orjson.loads(first.body)
        assert "note" not in tree
        assert tree["warning_messages"] == ["[2Jx"]
        written = export_format.read(chunks(await other.exported()))
        assert not any(b"note" in row.entry.answer.body for row in written if isinstance(row, ExportRow))

    play(story)


def test_whether_a_file_is_compared_with_what_was_sent_is_the_setting_of_the_cache() -> None:
    async def story() -> None:
        content = await (await Lab().recorded()).exported()
        forged = rewritten(content, answering_otherwise(outputs(sequence=[0, 7, 6, 7, 2])))
        await Lab(OTHER, {"cache": {"check_echo": False}}).loaded(forged)

    play(story)


def test_a_record_with_code_in_it_is_not_exported() -> None:
    async def story() -> None:
        lab, key = await Lab().recorded(), sealing_keys(MASTER).records
        entries = lab.memory.namespace_store.records["paper"].entries
        cache_key, (number, blob) = next(iter(entries.items()))
        entry = namespace_entry.decode(key, f"paper {cache_key}", blob)
        assert entry is not None
        unsafe = replace(entry, answer=replace(entry.answer, body=b'{"outputs":{},"logits":"KLUv"}', compressed=None))
        entries[cache_key] = number, namespace_entry.encode(key, f"paper {cache_key}", unsafe, b"n" * 12)
        with pytest.raises(InvalidArgument) as caught:
            await lab.exported()
        assert f"Entry {cache_key} is missing, broken, forged or unsafe" in str(caught.value)

    play(story)
