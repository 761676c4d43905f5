"""Where an answer came from: a file is signed, an import trusts by name, and receipts of what it brought say so."""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core import export_format, receipts
from gateway.core.export_format import ExportRow, ExportWriter
from gateway.core.export_frames import SIGNATURE_FRAME_BYTES
from gateway.core.problems import Problem
from gateway.core.signatures import public_text
from gateway.flow.admin_arguments import InvalidArgument
from gateway.flow.context import RequestContext
from gateway.wiring.cache_config import sealing_keys
from tests.flow.harness import BODY, MASTER, Harness, status_of
from tests.flow.test_namespace_transfer import GENERATE, NAMED, OTHER, Lab, chunks, rewritten, signer_of

OURS, THEIRS = signer_of(MASTER).public_key, signer_of(OTHER).public_key
FORGED_UPSTREAM = "https://forge.evolutionaryscale.ai"


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await story()

    asyncio.run(whole())


async def a_file(signing: bytes = OTHER) -> bytes:
    return await (await Lab(signing=signing).recorded()).exported()


def unsigned(content: bytes) -> bytes:
    """The same content in a file that nobody signed, as somebody would write it by hand."""
    return rewritten(content, list)


def resigned(content: bytes, signing: bytes) -> bytes:
    """The same content, signed by somebody else."""
    head, *rows = export_format.read(chunks(content))
    assert isinstance(head, export_format.ExportHeader)
    writer = ExportWriter(signer_of(signing))
    parts = [writer.begin(head)]
    parts += [writer.add(row.entry, row.call_digest, row.issued) for row in rows if isinstance(row, ExportRow)]
    return b"".join([*parts, writer.end(0)])


def made_up(lines: list[ExportRow]) -> list[ExportRow]:
    """An answer that no upstream ever gave, said to be computed years ago by a famous one."""
    entry = lines[0].entry
    answer = replace(
        entry.answer, body=b'{"outputs":{"sequence":[0,9,5,9,2]}}', created=1.7e9, upstream=FORGED_UPSTREAM
    )
    return [replace(lines[0], entry=replace(entry, answer=answer)), *lines[1:]]


async def replayed(lab: Lab) -> tuple[Any, dict[str, Any]]:
    """The first call of the notebook, and what its receipt says."""
    await lab.flow.poller.poll()
    answer = await lab.ask({}, GENERATE, cache_control=NAMED)
    assert answer.status == 200
    identifier = answer.headers["X-Gateway-Receipt"]
    return answer, dict(lab.flow.explainer.receipt(identifier, RequestContext("r", lambda: 0.0)))


def test_a_made_up_answer_in_a_file_that_nobody_signed_is_not_imported() -> None:
    async def story() -> None:
        there = Lab()
        for content in (unsigned(await a_file()), rewritten(await a_file(), made_up)):
            with pytest.raises(InvalidArgument, match=r"not signed.*--unverified"):
                await there.loaded(content, unverified=False)
        assert (there.memory.namespace_store.named, there.memory.audit.events) == ({}, [])

    run(story)


def test_with_an_explicit_word_it_is_imported_and_its_receipt_says_what_it_is() -> None:
    async def story() -> None:
        content = rewritten(await a_file(), made_up)
        there = await Lab().loaded(content)
        answer, told = await replayed(there)
        assert told["origin"] == "imported"
        assert told["imported"] == {
            "file_sha256": export_format.verify(chunks(content)),
            "at": "2027-01-15T08:00:00.000+00:00",
            "by": "grace",
            "signature": "none",
            "signed_by": None,
            "issued_as": None,
        }
        assert told["upstream"] == FORGED_UPSTREAM, "it is what the file says"
        assert "as the file with SHA-256" in told["citation"]
        assert "without a trusted signature" in told["citation"]
        assert 'imported, not verified"' in answer.headers["Cache-Status"]
        (event,) = [event for event in there.memory.audit.events if event.kind == "namespace_imported"]
        assert (event.facts["signature"], "signed_by" in event.facts) == ("none", False)

    run(story)


def test_a_file_of_an_unknown_gateway_names_its_key_and_is_taken_with_that_key_or_an_explicit_word() -> None:
    async def story() -> None:
        content, key = await a_file(OTHER), public_text(THEIRS)
        with pytest.raises(InvalidArgument, match=f"{key}.*--trust"):
            await Lab().loaded(content, unverified=False)
        for lab, expected in (
            (await Lab().loaded(content, trust={THEIRS}, unverified=False), "trusted"),
            (await Lab(trusted={THEIRS}).loaded(content, unverified=False), "trusted"),
            (await Lab(trusted={OURS}).loaded(content), "untrusted"),
        ):
            answer, told = await replayed(lab)
            assert (told["imported"]["signature"], told["imported"]["signed_by"]) == (expected, key)
            word = "signature trusted" if expected == "trusted" else "not verified"
            assert f'imported, {word}"' in answer.headers["Cache-Status"]
            (event,) = [event for event in lab.memory.audit.events if event.kind == "namespace_imported"]
            assert (event.facts["signature"], event.facts["signed_by"]) == (expected, key)

    run(story)


def test_a_gateway_trusts_its_own_files() -> None:
    async def story() -> None:
        there = await Lab().loaded(await a_file(MASTER), unverified=False)
        assert (await replayed(there))[1]["imported"]["signature"] == "trusted"

    run(story)


def test_a_signature_does_not_move_to_another_file_nor_come_off_unseen() -> None:
    async def story() -> None:
        content = await a_file(OTHER)
        forged = resigned(rewritten(content, made_up), MASTER)
        assert (await Lab().loaded(forged, unverified=False)).carried.trusted
        signature = content[-SIGNATURE_FRAME_BYTES:]
        for odd, message in (
            (forged[:-SIGNATURE_FRAME_BYTES] + signature, "not genuine"),
            (content[:-SIGNATURE_FRAME_BYTES], "damaged"),
            (content + signature, "damaged"),
        ):
            there = Lab(trusted={THEIRS})
            with pytest.raises(InvalidArgument, match=message):
                await there.loaded(odd)
            assert there.memory.namespace_store.named == {}

    run(story)


def test_the_receipt_that_a_paper_cites_is_named_by_the_receipt_of_the_reviewer_s_gateway() -> None:
    async def story() -> None:
        here = await Lab(signing=OTHER).recorded()
        cited = [answer.headers["X-Gateway-Receipt"] for answer in await here.replay()]
        there = await Lab(trusted={THEIRS}).loaded(await here.exported(), unverified=False)
        found = []
        for answer in await there.replay():
            identifier = answer.headers["X-Gateway-Receipt"]
            told = there.flow.explainer.receipt(identifier, RequestContext("r", lambda: 0.0))
            found.append(told["imported"]["issued_as"])
        assert found == [receipts.short(identifier) for identifier in cited]

    run(story)


def test_the_receipt_in_a_file_is_the_one_that_the_exporting_gateway_gave_with_the_answer() -> None:
    async def story() -> None:
        here = await Lab().recorded()
        cited = [answer.headers["X-Gateway-Receipt"] for answer in await here.replay()]
        rows = [row for row in export_format.read(chunks(await here.exported())) if isinstance(row, ExportRow)]
        assert [row.issued for row in rows] == cited

    run(story)


def test_the_receipts_of_a_namespace_are_listed_as_callers_get_them() -> None:
    async def story() -> None:
        here = await Lab(signing=OTHER).recorded()
        cited = [answer.headers["X-Gateway-Receipt"] for answer in await here.replay()]
        assert [each.identifier for each in await here.transfer.receipts("paper")] == cited
        there = await Lab(trusted={THEIRS}).loaded(await here.exported())
        given = [answer.headers["X-Gateway-Receipt"] for answer in await there.replay()]
        listed = await there.transfer.receipts("paper")
        assert [each.identifier for each in listed] == given
        origins = [each.receipt.imported for each in listed]
        assert [origin.issued for origin in origins if origin] == [receipts.short(each) for each in cited]
        with pytest.raises(InvalidArgument, match="no namespace"):
            await there.transfer.receipts("nowhere")

    run(story)


def test_an_answer_that_is_imported_again_names_the_last_file_alone() -> None:
    async def story() -> None:
        middle = await Lab(OTHER).loaded(await a_file(MASTER))
        second = await middle.exported()
        last = await Lab(trusted={THEIRS}).loaded(second, unverified=False)
        told = (await replayed(last))[1]["imported"]
        assert told["file_sha256"] == export_format.verify(chunks(second))
        assert (told["signature"], told["signed_by"]) == ("trusted", public_text(THEIRS))

    run(story)


def test_what_was_computed_here_has_the_receipt_that_it_always_had() -> None:
    async def story() -> None:
        lab = await Lab().recorded()
        answer, told = await replayed(lab)
        assert (told["origin"], "imported" in told) == ("computed", False)
        assert told["upstream"] == "http://upstream"
        assert status_of(answer).startswith("hit")
        assert "imported" not in answer.headers["Cache-Status"]
        entry = receipts.decode(receipts_key(), answer.headers["X-Gateway-Receipt"])
        assert entry is not None
        assert receipts.encode(receipts_key(), replace(entry, imported=None)) == answer.headers["X-Gateway-Receipt"]

    run(story)


def receipts_key() -> bytes:
    return sealing_keys(MASTER).receipts


def asked(harness: Harness, identifier: str, query: str = "") -> dict[str, Any]:
    context = RequestContext("r", lambda: 0.0)
    return dict(harness.flow.explainer.receipt(identifier, context, query))


def checked(harness: Harness, text: str) -> dict[str, Any]:
    return dict(harness.flow.explainer.statement(text, RequestContext("r", lambda: 0.0)))


def test_a_statement_of_a_receipt_is_checked_at_another_gateway(tmp_path: Path) -> None:
    async def story() -> None:
        here = await Harness({"data_dir": str(tmp_path / "here")}).opened()
        identifier = (await here.ask()).headers["X-Gateway-Receipt"]
        told = asked(here, identifier, "signed")
        plain = asked(here, identifier)
        key = here.flow.explainer.signing_key(RequestContext("r", lambda: 0.0))["public_key"]
        assert told["public_key"] == key
        assert (plain["model"], plain["short"]) == (BODY["model"], receipts.short(identifier))
        reviewer = {"data_dir": str(tmp_path / "there"), "cache": {"trusted_signers": [key]}}
        stranger = {"data_dir": str(tmp_path / "else")}
        for settings, signer in ((reviewer, "trusted"), (stranger, "unknown")):
            there = await Harness(settings).opened()
            found = checked(there, told["statement"])
            assert found == {"genuine": True, "signed_by": key, "signer": signer, "receipt": plain}
        assert checked(here, told["statement"])["signer"] == "own"
        forged = told["statement"][:-4] + ("AAAA" if told["statement"][-4:] != "AAAA" else "BBBB")
        assert checked(here, forged) == {"genuine": False, "signed_by": None, "signer": None, "receipt": None}

    run(story)


def test_the_signing_key_is_made_when_first_needed_and_has_nothing_of_the_master_secret(tmp_path: Path) -> None:
    async def story() -> None:
        keys = set()
        for name in ("one", "two"):
            harness = await Harness({"data_dir": str(tmp_path / name)}).opened()
            identifier = (await harness.ask()).headers["X-Gateway-Receipt"]
            asked(harness, identifier)
            assert not (tmp_path / name).exists()
            keys.add(asked(harness, identifier, "signed")["public_key"])
            assert stat.S_IMODE(os.stat(tmp_path / name / "secrets" / "signing").st_mode) == 0o600
            again = await Harness({"data_dir": str(tmp_path / name)}).opened()
            keys.add(asked(again, identifier, "signed")["public_key"])
        assert len(keys) == 2, "one a gateway, though both have the same master secret"

    run(story)


def test_a_signing_key_that_cannot_be_used_is_a_problem_and_shows_nothing_of_itself(tmp_path: Path) -> None:
    async def story() -> None:
        secret = tmp_path / "secrets" / "signing"
        secret.parent.mkdir()
        secret.touch(0o600)
        secret.write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
        harness = await Harness({"data_dir": str(tmp_path)}).opened()
        identifier = (await harness.ask()).headers["X-Gateway-Receipt"]
        with pytest.raises(Problem) as caught:
            asked(harness, identifier, "signed")
        assert caught.value.type.slug == "signing-unavailable"
        assert b"nonsense" not in orjson.dumps(caught.value.document("r"))
        assert asked(harness, identifier)["receipt"] == identifier

    run(story)


@pytest.mark.parametrize("query", ["signed=1", "sign", "signed&more"])
def test_another_query_of_a_receipt_is_refused(query: str, tmp_path: Path) -> None:
    async def story() -> None:
        harness = await Harness({"data_dir": str(tmp_path)}).opened()
        identifier = (await harness.ask()).headers["X-Gateway-Receipt"]
        with pytest.raises(Problem) as caught:
            asked(harness, identifier, query)
        assert caught.value.type.slug == "call-invalid"

    run(story)
