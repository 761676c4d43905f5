"""What every directory promises: a key with its user's approvals, and an epoch that moves with every change."""

import asyncio
from dataclasses import replace

from gateway.core.types import Approval, CacheScope, KeyRecord, Limits
from gateway.ports import Directory
from tests.contracts.backends import Backend, play

PLAIN = KeyRecord("k1", "d" * 64, "ada", "lab", 1000.0)
FULL = KeyRecord(
    "k2",
    "e" * 64,
    "bob",
    "lab",
    2000.5,
    expires=3000.25,
    revoked=2500.0,
    models=("esm3-open-2024-03",),
    limits=Limits(60, 10, 4, 1_000_000),
    label="Bob's notebook \N{BUTTERFLY}",
    cache=CacheScope(("exact",), "team", (), "paper-2026"),
)
PARTLY = replace(FULL, public_id="k3", created=2001.0, cache=CacheScope(directives=("max-age", "pool")))
GRANT = Approval("g1", "ada", ("carol", "dan"), "toxin study", 1000.0, 9000.0)
OTHER = Approval("g2", "ada", ("carol", "dan"), "second", 1500.0, 9000.0, ("esm3-open-2024-03",), 1600.0)


def test_a_key_is_found_as_it_was_put(backend: Backend) -> None:
    async def story(directory: Directory) -> None:
        assert await directory.find("k1") is None
        await directory.put_key(PLAIN)
        await directory.put_key(FULL)
        assert await directory.find("k1") == (PLAIN, ())
        assert await directory.find("k2") == (FULL, ())
        await directory.put_key(PARTLY)
        assert await directory.find("k3") == (PARTLY, ())
        assert list(await directory.keys()) == [PLAIN, FULL, PARTLY]

    play(backend.directory(), story)


def test_a_key_put_again_takes_the_place_of_the_old_one(backend: Backend) -> None:
    async def story(directory: Directory) -> None:
        await directory.put_key(PLAIN)
        revoked = replace(PLAIN, revoked=1234.0)
        await directory.put_key(revoked)
        assert await directory.find("k1") == (revoked, ())
        assert list(await directory.keys()) == [revoked]

    play(backend.directory(), story)


def test_a_key_is_found_with_the_grants_of_its_user_revoked_ones_included(backend: Backend) -> None:
    async def story(directory: Directory) -> None:
        await directory.put_key(PLAIN)
        await directory.put_key(FULL)
        await directory.put_approval(GRANT)
        await directory.put_approval(OTHER)
        assert await directory.find("k1") == (PLAIN, (GRANT, OTHER))
        assert await directory.find("k2") == (FULL, ())
        assert tuple(await directory.approvals("ada")) == (GRANT, OTHER)
        assert tuple(await directory.approvals("nobody")) == ()

    play(backend.directory(), story)


def test_a_digest_is_replaced_where_it_is_still_the_one_that_was_seen(backend: Backend) -> None:
    async def story(directory: Directory) -> None:
        assert not await directory.rehash("k1", "d" * 64, "f" * 64)
        await directory.put_key(FULL)
        epoch = await directory.epoch()
        assert not await directory.rehash("k2", "d" * 64, "f" * 64)
        assert await directory.find("k2") == (FULL, ())
        assert await directory.rehash("k2", "e" * 64, "f" * 64)
        assert await directory.find("k2") == (replace(FULL, digest="f" * 64), ())
        assert await directory.epoch() == epoch
        done = await asyncio.gather(*(directory.rehash("k2", "f" * 64, f"{i}" * 64) for i in range(8)))
        assert done.count(True) == 1

    play(backend.directory(), story)


def test_a_grant_put_again_takes_the_place_of_the_old_one(backend: Backend) -> None:
    async def story(directory: Directory) -> None:
        await directory.put_approval(GRANT)
        await directory.put_approval(OTHER)
        revoked = replace(GRANT, revoked=2000.0)
        await directory.put_approval(revoked)
        assert tuple(await directory.approvals("ada")) == (revoked, OTHER)

    play(backend.directory(), story)


def test_grants_given_at_the_same_moment_are_all_kept(backend: Backend) -> None:
    async def story(directory: Directory) -> None:
        await asyncio.gather(*(directory.put_approval(replace(GRANT, approval_id=f"g{i}")) for i in range(6)))
        assert sorted(approval.approval_id for approval in await directory.approvals("ada")) == [
            f"g{i}" for i in range(6)
        ]

    play(backend.directory(), story)


def test_every_change_moves_the_epoch_and_nothing_else_does(backend: Backend) -> None:
    async def story(directory: Directory) -> None:
        epochs = [await directory.epoch()]
        for change in (directory.put_key(PLAIN), directory.put_approval(GRANT), directory.put_key(PLAIN)):
            await change
            epochs.append(await directory.epoch())
        assert epochs == sorted(set(epochs))
        await directory.find("k1")
        await directory.keys()
        await directory.approvals("ada")
        assert await directory.epoch() == epochs[-1]

    play(backend.directory(), story)
