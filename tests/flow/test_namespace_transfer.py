"""A namespace leaves one gateway as a file and comes into another: equal bytes and receipts, all of it or nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway import __version__
from gateway.core import export_format, receipts
from gateway.core.export_format import ExportHeader, ExportRow, ExportWriter
from gateway.core.sealing import derive_key
from gateway.core.types import Namespace
from gateway.flow.admin_arguments import InvalidArgument
from gateway.flow.namespace_transfer import NamespaceTransfer
from gateway.flow.namespaces import NamespaceAdmin, NamespaceState
from gateway.ports import AuditUnavailable, UpstreamLoss
from gateway.wiring.cache_config import cache_config, parse_config, sealing_keys
from tests.flow.harness import MASTER, Harness

GENERATE, ENCODE = "/api/v1/generate_tensor", "/api/v1/encode"
NAMED = "namespace=paper"
NOTEBOOK: tuple[tuple[str, Mapping[str, Any], str], ...] = (
    (GENERATE, {}, NAMED),
    (GENERATE, {"temperature": 1.0}, NAMED),
    (GENERATE, {"temperature": 1.0}, NAMED + ", sample=2"),
    (GENERATE, {"temperature": 1.0}, NAMED + ", pool=lab, sample=7"),
    (GENERATE, {"strategy": "random"}, NAMED),
    (GENERATE, {"track": "structure"}, NAMED),
    (GENERATE, {"potential_sequence_of_concern": True}, NAMED),
)
OTHER = b"o" * 32


class Lab(Harness):
    """A gateway with its namespaces."""

    def __init__(self, master: bytes = MASTER, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(settings)
        m, self.master = self.memory, master
        self.namespaces = NamespaceAdmin(m.namespace_store, m.audit, m.clock)
        self.transfer = NamespaceTransfer(
            namespace_store=m.namespace_store,
            namespaces=self.namespaces,
            audit=m.audit,
            clock=m.clock,
            key=sealing_keys(master).records,
            cache_config=cache_config(self.settings, master),
            parse_config=parse_config(self.settings),
            version=__version__,
        )
        self.approval()

    async def replay(self, notebook: Iterable[tuple[str, Mapping[str, Any], str]] = NOTEBOOK) -> list[Any]:
        await self.flow.poller.poll()
        return [await self.ask(changes, path, cache_control=asked) for path, changes, asked in notebook]

    async def recorded(self) -> "Lab":
        """A frozen namespace that holds the whole notebook; the upstream is off from then on."""
        await self.namespaces.create("paper", "Figure 3", by="ada")
        first = await self.replay()
        assert {answer.status for answer in first} == {200}
        self.memory.clock.advance(10)
        await self.namespaces.freeze("paper", by="ada")
        self.memory.upstream.answer = lambda _: UpstreamLoss("refused", sent=False, timed_out=False)
        await self.flow.poller.poll()
        self.first = [answer.body for answer in first]
        return self

    async def exported(self, *, flagged: bool = True, name: str = "paper") -> bytes:
        written: list[bytes] = []
        self.carried = await self.transfer.export(name, written.append, "ada", flagged=flagged)
        return b"".join(written)

    async def loaded(self, content: bytes, name: str | None = None) -> "Lab":
        self.carried = await self.transfer.load(lambda: chunks(content), name, "grace")
        return self

    def receipt(self, answer: Any) -> Mapping[str, Any]:
        found = receipts.decode(derive_key(MASTER, "receipts"), answer.headers["X-Gateway-Receipt"])
        assert found is not None
        return found.document()


def chunks(content: bytes, size: int = 777) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def rewritten(
    content: bytes, change: Callable[[list[ExportRow]], list[ExportRow]], head: ExportHeader | None = None
) -> bytes:
    """The file as somebody would forge it: lines changed, everything consistent again."""
    rows = list(export_format.read(chunks(content)))
    assert isinstance(rows[0], ExportHeader)
    writer = ExportWriter()
    parts = [writer.begin(head or rows[0])]
    parts += [
        writer.add(line.entry, line.call_digest) for line in change([row for row in rows if isinstance(row, ExportRow)])
    ]
    return b"".join([*parts, writer.end(0)])


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await story()

    asyncio.run(whole())


def test_a_notebook_is_replayed_with_the_upstream_off_here_and_where_it_was_imported() -> None:
    async def story() -> None:
        here = await Lab().recorded()
        again = await here.replay()
        assert [answer.body for answer in again] == here.first
        there = await Lab().loaded(await here.exported())
        there.memory.upstream.answer = lambda _: UpstreamLoss("refused", sent=False, timed_out=False)
        replayed = await there.replay()
        assert [answer.body for answer in replayed] == here.first
        assert [there.receipt(answer) for answer in replayed] == [here.receipt(answer) for answer in again]
        assert there.memory.upstream.requests == []

    play(story)


def test_an_answer_that_is_not_in_the_file_is_not_found_rather_than_computed() -> None:
    async def story() -> None:
        there = await Lab().loaded(await (await Lab().recorded()).exported())
        await there.flow.poller.poll()
        assert (await there.ask({"num_steps": 1}, cache_control=NAMED)).status == 404
        assert there.memory.upstream.requests == []

    play(story)


def test_the_export_of_an_import_is_the_same_file_also_under_another_secret() -> None:
    async def story() -> None:
        content = await (await Lab().recorded()).exported()
        there = await Lab(OTHER).loaded(content)
        assert await there.exported() == content
        assert (await there.namespaces.info("paper")).state is NamespaceState.FROZEN

    play(story)


def test_the_same_namespace_gives_the_same_bytes_however_often() -> None:
    async def story() -> None:
        here = await Lab().recorded()
        assert await here.exported() == await here.exported()

    play(story)


def test_addresses_and_seals_are_those_of_the_gateway_that_imports() -> None:
    async def story() -> None:
        here = await Lab().recorded()
        there = await Lab(OTHER).loaded(await here.exported())
        ours, theirs = (lab.memory.namespace_store.records["paper"].entries for lab in (here, there))
        assert len(ours) == len(theirs) == len(NOTEBOOK)
        assert not set(ours) & set(theirs)

    play(story)


def test_flagged_calls_are_left_out_unless_asked_for_and_the_number_is_told() -> None:
    async def story() -> None:
        here = await Lab().recorded()
        content = await here.exported(flagged=False)
        assert (here.carried.entries, here.carried.omitted) == (len(NOTEBOOK) - 1, 1)
        lines = [row for row in export_format.read(chunks(content)) if isinstance(row, ExportRow)]
        assert not any(line.entry.flagged for line in lines)
        there = await Lab().loaded(content)
        assert (there.carried.entries, there.carried.omitted) == (len(NOTEBOOK) - 1, 1)

    play(story)


def test_only_a_frozen_namespace_is_exported() -> None:
    async def story() -> None:
        lab = Lab()
        await lab.namespaces.create("paper", "", by="ada")
        with pytest.raises(InvalidArgument, match="freeze it first"):
            await lab.exported()
        with pytest.raises(InvalidArgument, match="no namespace"):
            await lab.exported(name="nowhere")

    play(story)


def test_a_forged_or_lost_entry_is_named_and_ends_the_export() -> None:
    async def story() -> None:
        here = await Lab().recorded()
        contents = here.memory.namespace_store.records["paper"].entries
        cache_key = list(contents)[3]
        number, blob = contents[cache_key]
        contents[cache_key] = (number, blob[:-1] + bytes([blob[-1] ^ 1]))
        with pytest.raises(InvalidArgument, match=cache_key):
            await here.exported()
        other = list(contents)[4]
        contents[cache_key] = (number, contents[other][1])  # a genuine entry in another's place
        with pytest.raises(InvalidArgument, match=cache_key):
            await here.exported()

    play(story)


def test_exports_and_imports_are_on_record_before_they_happen() -> None:
    async def story() -> None:
        here = await Lab().recorded()
        content = await here.exported()
        assert here.memory.audit.events[-1].kind == "namespace_exported"
        there = Lab()
        there.memory.journal.clear()
        await there.loaded(content)
        writes = [effect for effect in there.memory.effects() if effect in ("audit.append", "namespace_store.create")]
        assert writes == ["audit.append", "namespace_store.create"]
        assert there.memory.audit.events[-1].facts["sha256"] == here.carried.sha256
        for lab, work in ((here, here.exported()), (Lab(), None)):
            lab.memory.audit.lost.add("*")
            with pytest.raises(AuditUnavailable):
                await (work or lab.loaded(content))
            assert lab is here or lab.memory.namespace_store.named == {}

    play(story)


def test_a_name_that_is_taken_is_refused_and_another_can_be_given() -> None:
    async def story() -> None:
        here = await Lab().recorded()
        content = await here.exported()
        with pytest.raises(InvalidArgument, match="already"):
            await here.loaded(content)
        await here.loaded(content, "copy")
        renamed = [(path, changes, asked.replace("paper", "copy")) for path, changes, asked in NOTEBOOK]
        assert [answer.body for answer in await here.replay(renamed)] == here.first

    play(story)


def test_models_that_are_not_here_are_named_and_nothing_is_imported() -> None:
    async def story() -> None:
        content = await (await Lab().recorded()).exported()
        there = Lab(settings={"models": {"another": 1.0}})
        with pytest.raises(InvalidArgument, match="esm3-open-2024-03"):
            await there.loaded(content)
        assert there.memory.namespace_store.named == {}

    play(story)


def test_every_flipped_byte_is_refused_and_nothing_is_imported() -> None:
    async def story() -> None:
        content = await (await Lab().recorded()).exported()
        there = Lab()
        for at in range(0, len(content), 7):
            with pytest.raises(InvalidArgument):
                await there.loaded(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        assert (there.memory.namespace_store.named, there.memory.audit.events) == ({}, [])

    play(story)


def other_question(lines: list[ExportRow]) -> list[ExportRow]:
    """An answer under another question, its receipt changed with it."""
    return [replace(lines[0], entry=replace(lines[0].entry, body=lines[5].entry.body)), *lines[1:]]


def unflagged(lines: list[ExportRow]) -> list[ExportRow]:
    return [*lines[:6], replace(lines[6], entry=replace(lines[6].entry, flagged=False))]


def not_valid(lines: list[ExportRow]) -> list[ExportRow]:
    body = orjson.dumps({**orjson.loads(lines[0].entry.body), "num_steps": 1000})
    return [replace(lines[0], entry=replace(lines[0].entry, body=body))]


@pytest.mark.parametrize(
    "change, said",
    [
        (other_question, "not the call that its receipt names"),
        (unflagged, "not the call that its receipt names"),
        (not_valid, "not valid here.*num_steps"),
        (lambda lines: [*lines, lines[2]], "twice"),
        (lambda lines: [replace(lines[0], entry=replace(lines[0].entry, endpoint="nowhere"))], "endpoint"),
        (lambda lines: [replace(lines[0], entry=replace(lines[0].entry, pool="a b"))], "pool"),
        (lambda lines: [replace(lines[0], entry=replace(lines[0].entry, sample=0))], "sample"),
    ],
)
def test_a_forged_file_with_a_right_checksum_is_refused_and_leaves_nothing(
    change: Callable[[list[ExportRow]], list[ExportRow]], said: str
) -> None:
    async def story() -> None:
        content = rewritten(await (await Lab().recorded()).exported(), change)
        there = Lab()
        with pytest.raises(InvalidArgument, match=said):
            await there.loaded(content)
        assert (there.memory.namespace_store.named, there.memory.namespace_store.records) == ({}, {})

    play(story)


def test_a_note_that_would_write_over_a_terminal_is_refused() -> None:
    async def story() -> None:
        head = ExportHeader(Namespace("paper", 1.0, 2.0, "\x1b[2J"), "0")
        content = rewritten(await (await Lab().recorded()).exported(), list, head)
        with pytest.raises(InvalidArgument, match="printable"):
            await Lab().loaded(content)

    play(story)


def test_what_does_not_fit_leaves_nothing() -> None:
    async def story() -> None:
        content = await (await Lab().recorded()).exported()
        there = Lab()
        there.memory.namespace_store._max_bytes = 1500
        with pytest.raises(InvalidArgument, match="does not fit"):
            await there.loaded(content)
        assert there.memory.namespace_store.named == {}

    play(story)


def test_an_import_that_loses_its_store_half_way_is_seen_as_incomplete() -> None:
    async def story() -> None:
        content = await (await Lab().recorded()).exported()
        there = Lab()
        there.memory.namespace_store.lost.add("freeze")
        with pytest.raises(Exception, match="freeze"):
            await there.loaded(content)
        (info,) = await there.namespaces.infos()
        assert info.state is NamespaceState.INCOMPLETE
        await there.flow.poller.poll()
        assert (await there.ask({"num_steps": 1}, cache_control=NAMED)).status == 404

    play(story)


def test_a_call_that_a_check_would_refuse_is_exported_where_the_upstream_answered_it() -> None:
    async def story() -> None:
        lab = Lab(settings={"request": {"checks": {"nothing_masked": False}}})
        await lab.namespaces.create("paper", "", by="ada")
        await lab.flow.poller.poll()
        answer = await lab.ask({"inputs": {"sequence": [0, 5, 6, 2]}, "num_steps": 2}, GENERATE, cache_control=NAMED)
        assert answer.status == 200
        await lab.namespaces.freeze("paper", by="ada")
        await lab.exported()
        assert lab.carried.entries == 1

    play(story)
