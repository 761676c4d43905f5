"""Who is asking: what is remembered, for how long, and what makes it forgotten."""

import asyncio
from dataclasses import replace
from hashlib import sha512
from typing import Any

import pytest

from gateway.core import credentials
from gateway.core.problems import Problem
from gateway.core.types import Approval, KeyRecord, Principal
from gateway.flow.authenticate import Authenticator
from gateway.flow.runtime import BackgroundTasks
from tests.flow.harness import KEY, Harness, Parts, turns

PEPPER = b"p" * 32
BEARER = f"Bearer {KEY.text}"
RECORD = KeyRecord(KEY.public_id, credentials.digest(PEPPER, KEY), "ada", "lab", created=0.0)
# The same public id with another secret, as somebody would write it who had seen only the id.
TWIN = credentials.mint(bytes(range(12)) + bytes(range(100, 132)))


class Gate:
    """A keyring at a directory with one key."""

    def __init__(self, **changes: Any) -> None:
        self.parts = Parts()
        self.authenticator = Authenticator(self.parts.directory, self.parts.runtime(), PEPPER)
        self.write(**changes)

    def write(self, **changes: Any) -> None:
        self.parts.directory.records[KEY.public_id] = replace(RECORD, **changes)

    def ask(self, authorization: str | None = BEARER) -> Principal | str:
        """The principal, or how the refusal was counted."""
        outcome: list[Principal | str] = []

        async def act(tasks: BackgroundTasks) -> None:
            try:
                outcome.append(await self.authenticator.authenticate(authorization))
            except Problem as problem:
                outcome.append(f"{problem.type.status} {problem.type.slug}")

        self.parts.play(act)
        return outcome[0]

    def found(self) -> int:
        return self.parts.effects().count("directory.find")

    def counted(self, reason: str) -> float:
        return self.parts.meter.counts[("esmgw_auth_failures_total", reason)]


def test_a_key_s_holder_comes_with_their_grants() -> None:
    gate = Gate()
    approval = Approval("g1", "ada", ("bea", "carl"), "r", 0.0, 4e9)
    gate.parts.directory.granted["ada"] = {"g1": approval}
    assert gate.ask() == Principal(RECORD, (approval,))


@pytest.mark.parametrize("cache_config", ["Bearer ", "bearer ", "BEARER   "])
def test_the_scheme_s_letters_and_spaces_do_not_matter(cache_config: str) -> None:
    assert isinstance(Gate().ask(cache_config + KEY.text), Principal)


def test_a_known_key_meets_the_store_once_a_minute() -> None:
    gate = Gate()
    for _ in range(5):
        gate.ask()
    gate.parts.clock.advance(59.9)
    gate.ask()
    assert gate.found() == 1
    gate.parts.clock.advance(0.2)
    gate.ask()
    assert gate.found() == 2


def test_an_unknown_key_is_remembered_for_five_seconds_alone() -> None:
    gate = Gate()
    del gate.parts.directory.records[KEY.public_id]
    assert gate.ask() == gate.ask() == "401 key-refused"
    gate.parts.clock.advance(4.9)
    assert gate.ask() == "401 key-refused"
    assert gate.found() == 1
    gate.write()
    gate.parts.clock.advance(0.2)
    assert isinstance(gate.ask(), Principal)
    assert gate.counted("unknown") == 3


def test_another_secret_under_the_same_public_id_opens_nothing_before_or_after_the_true_one() -> None:
    gate = Gate()
    assert TWIN.public_id == KEY.public_id
    assert TWIN.text != KEY.text
    assert gate.ask(f"Bearer {TWIN.text}") == "401 key-refused"
    assert isinstance(gate.ask(), Principal)
    assert gate.ask(f"Bearer {TWIN.text}") == "401 key-refused"


@pytest.mark.parametrize(
    "authorization, reason",
    [
        (None, "missing"),
        ("", "missing"),
        ("Bearer", "missing"),
        (KEY.text, "scheme"),
        (f"Basic {KEY.text}", "scheme"),
        (f"Bearer {KEY.text[:-1]}", "malformed"),
        (f"Bearer {KEY.text[:-1]}{'1' if KEY.text[-1] != '1' else '2'}", "malformed"),
        (f"Bearer {KEY.text} {KEY.text}", "malformed"),
    ],
)
def test_what_cannot_be_a_key_meets_no_store(authorization: str | None, reason: str) -> None:
    gate = Gate()
    assert gate.ask(authorization) == "401 key-refused"
    assert (gate.found(), gate.counted(reason)) == (0, 1)


def test_a_refusal_tells_the_way_to_authenticate_and_repeats_no_key() -> None:
    gate = Gate()

    async def act(tasks: BackgroundTasks) -> None:
        with pytest.raises(Problem) as refused:
            await gate.authenticator.authenticate(f"Bearer {TWIN.text}")
        assert refused.value.headers["WWW-Authenticate"].startswith("Bearer ")
        assert refused.value.detail == ""
        assert TWIN.public_id not in str(refused.value.document("r1"))

    gate.parts.play(act)


def test_a_key_that_expires_while_it_is_remembered_is_refused_from_that_second() -> None:
    gate = Gate(expires=1_800_000_010.0)
    assert isinstance(gate.ask(), Principal)
    gate.parts.clock.advance(9.9)
    assert isinstance(gate.ask(), Principal)
    gate.parts.clock.advance(0.1)
    assert gate.ask() == "401 key-refused"
    assert (gate.found(), gate.counted("expired")) == (1, 1)


def test_a_revoked_key_is_refused_and_told_so() -> None:
    gate = Gate(revoked=5.0)
    assert gate.ask() == "401 key-refused"
    assert gate.counted("revoked") == 1


def test_what_is_forgotten_is_looked_up_again() -> None:
    gate = Gate()
    gate.ask()
    gate.write(revoked=5.0)
    gate.authenticator.forget()
    assert gate.ask() == "401 key-refused"


def test_forgetting_during_a_look_up_is_not_undone_by_it() -> None:
    gate = Gate()
    directory, find, gate_open = gate.parts.directory, gate.parts.directory.find, asyncio.Event()

    async def slow(public_id: str) -> Any:
        read = await find(public_id)
        await gate_open.wait()
        return read

    directory.find = slow  # type: ignore[method-assign]

    async def act(tasks: BackgroundTasks) -> None:
        asking = asyncio.ensure_future(gate.authenticator.authenticate(BEARER))
        await turns()
        gate.write(revoked=5.0)
        gate.authenticator.forget()
        gate_open.set()
        await asking

    gate.parts.play(act)
    assert gate.ask() == "401 key-refused"


def test_with_the_store_lost_known_keys_go_on_for_their_minute_and_others_are_a_503() -> None:
    gate = Gate()
    gate.ask()
    gate.parts.directory.lost.add("find")
    gate.parts.clock.advance(59.0)
    assert isinstance(gate.ask(), Principal)
    assert gate.ask(f"Bearer {TWIN.text}") == "503 state-unavailable"
    gate.parts.clock.advance(2.0)
    assert gate.ask() == "503 state-unavailable"
    gate.parts.directory.lost.clear()
    assert isinstance(gate.ask(), Principal)
    assert gate.parts.meter.counts[("esmgw_store_errors_total", "state", "find_key")] == 2


def test_the_memory_of_keys_is_bounded_and_never_shown() -> None:
    gate = Gate()
    keys = [credentials.mint(i.to_bytes(4, "big") * 11).text for i in range(6000)]

    async def act(tasks: BackgroundTasks) -> None:
        for text in keys:
            with pytest.raises(Problem):
                await gate.authenticator.authenticate(f"Bearer {text}")

    gate.parts.play(act)
    assert len(gate.authenticator._known) < 4000
    assert keys[-1] not in repr(gate.authenticator)


def test_a_long_spelling_of_a_key_counts_with_its_length() -> None:
    plain, long = Gate(), Gate()
    plain.ask()
    long.ask(BEARER.replace(" ", " " * 4000))
    assert long.authenticator.bytes >= plain.authenticator.bytes + 3900 > 3900


def test_a_flood_of_made_up_keys_pushes_no_known_key_out() -> None:
    async def act() -> None:
        harness = await Harness().opened()
        assert (await harness.ask()).status == 200
        for n in range(4000):
            made_up = credentials.mint(sha512(b"%d" % n).digest())
            assert (await harness.ask(authorization=f"Bearer {made_up.text}")).status == 401
        harness.memory.journal.clear()
        assert (await harness.ask()).status == 200
        assert "directory.find" not in harness.memory.effects()

    asyncio.run(act())


@pytest.mark.parametrize(
    "authorization, counted, error, word",
    [
        (None, "missing", False, "Send your virtual key"),
        ("", "missing", False, "Send your virtual key"),
        ("Bearer", "missing", False, "Send your virtual key"),
        ("Bearer  ", "missing", False, "Send your virtual key"),
        ("Basic YWRhOnNlY3JldA==", "scheme", False, "no user name with a password"),
        ("basic YWRhOnNlY3JldA==", "scheme", False, "no user name with a password"),
        ("Digest username=ada", "scheme", False, "Only the scheme Bearer"),
        (KEY.text, "scheme", False, "no key alone"),
        ("Bearer esmgw_abc", "malformed", True, "not a whole virtual key"),
        (f"Bearer {KEY.text[:-1]}", "malformed", True, "a letter lost"),
        (f"Bearer {KEY.text}, Bearer {KEY.text}", "malformed", True, "not a whole virtual key"),
        (f"Bearer {TWIN.text}", "unknown", True, ""),
    ],
)
def test_a_refusal_says_what_to_send_and_calls_a_token_invalid_only_where_one_was_sent(
    authorization: str | None, counted: str, error: bool, word: str
) -> None:
    """RFC 6750 section 3.1: no error code without a bearer token."""
    gate = Gate()
    refusal = refused(gate, authorization)
    challenge = 'Bearer realm="esm-gateway"' + (', error="invalid_token"' if error else "")
    assert refusal.headers == {"WWW-Authenticate": challenge}
    assert word in refusal.detail
    assert KEY.text not in refusal.detail
    assert gate.counted(counted) == 1


@pytest.mark.parametrize("changes", [{"revoked": 1.0}, {"expires": 1.0}])
def test_a_key_that_was_good_once_is_an_invalid_token_too(changes: dict[str, float]) -> None:
    gate = Gate(**changes)
    for _ in range(2):
        assert refused(gate, BEARER).headers["WWW-Authenticate"].endswith('error="invalid_token"')


def refused(gate: Gate, authorization: str | None) -> Problem:
    outcome: list[Problem] = []

    async def act(_: BackgroundTasks) -> None:
        with pytest.raises(Problem) as refusal:
            await gate.authenticator.authenticate(authorization)
        outcome.append(refusal.value)

    gate.parts.play(act)
    return outcome[0]
