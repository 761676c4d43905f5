"""Large bodies: full of small faults, or withheld while the gateway holds what it has.

The rate of the key bounds neither the size nor the time of a body.
"""

from collections.abc import Callable
from typing import Final

from bench.attacks import calls
from bench.attacks.attack import Attack, Attacker, Send
from bench.attacks.sending import flooded, held

MIB: Final = 2**20
CALLERS: Final = 4
HELD: Final = 40
HELD_BYTES: Final = 30 * MIB
TARGET: Final = calls.API + "generate_tensor"


def in_place_of(mark: bytes, text: bytes) -> bytes:
    """A valid call with this text where the mark stands."""
    body = calls.generate_tensor(1, inputs={"sequence": [7, 7]}, invalid_ids=[8, 8])
    at = {b"sequence": b"[7,7]", b"invalid_ids": b"[8,8]"}[mark]
    return body.replace(at, text, 1)


def repeated(item: bytes, size: int) -> bytes:
    return b"[" + b",".join([item] * (size // (len(item) + 1))) + b"]"


def track_of(item: bytes, mebibytes: int, mark: bytes = b"sequence") -> bytes:
    return in_place_of(mark, repeated(item, mebibytes * MIB))


def members(name: Callable[[int], str], mebibytes: int) -> bytes:
    """A body with as many members as fit, named by their number."""
    one = len(name(10**5)) + 5
    many = ",".join(f'"{name(number)}":0' for number in range(mebibytes * MIB // one))
    return calls.generate_tensor(1)[:-1] + b"," + many.encode() + b"}"


def nested(mebibytes: int) -> bytes:
    half = mebibytes * MIB // 2
    return in_place_of(b"sequence", b"[" * half + b"]" * half)


def wrong_atoms(mebibytes: int) -> bytes:
    row = b'["x",{},null]'
    return in_place_of(
        b"sequence", b'null,"coordinates":' + repeated(b"[" + b",".join([row] * 37) + b"]", mebibytes * MIB)
    )


def faulty(make: Callable[[], bytes], target: str = TARGET, connections: int = CALLERS) -> Send:
    """The same body on a few connections, again as soon as it is answered."""

    async def send(attacker: Attacker) -> None:
        request = attacker.request(target, make())
        await attacker.begin()
        await flooded(attacker, [request], connections)

    return send


def begun(attacker: Attacker, size: int, *headers: str) -> bytes:
    """The head of a request whose body is announced to be so long, without any of it."""
    whole = attacker.request(TARGET, b"x", *headers)
    head = whole[: whole.index(b"\r\n\r\n") + 4]
    return head.replace(b"Content-Length: 1", b"Content-Length: %d" % size)


def withheld(sent: int, missing: int, connections: int = HELD, drip: bytes = b"", every_s: float = 1.0) -> Send:
    """Bodies of which all but `missing` bytes come, and then nothing or a drip; replaced where they are ended."""

    async def send(attacker: Attacker) -> None:
        data = begun(attacker, sent + missing) + b" " * sent
        await attacker.begin()
        await held(attacker, data, connections, [drip] if drip else [], every_s, again=True)

    return send


def in_chunks(attacker: Attacker, sent: int) -> bytes:
    """The beginning of a body in chunks of 64 kB."""
    head = begun(attacker, 1).replace(b"Content-Length: 1", b"Transfer-Encoding: chunked")
    return head + (b"10000\r\n" + b" " * 65536 + b"\r\n") * (sent // 65536)


def chunked(sent: int, connections: int = HELD) -> Send:
    """Bodies in chunks without an end, so that no length is known beforehand."""

    async def send(attacker: Attacker) -> None:
        data = in_chunks(attacker, sent)
        await attacker.begin()
        await held(attacker, data, connections, [b"1\r\n \r\n"], again=True)

    return send


def expecting(size: int, connections: int) -> Send:
    """Heads that ask to be told to continue, and never do."""

    async def send(attacker: Attacker) -> None:
        data = begun(attacker, size, "Expect: 100-continue")
        await attacker.begin()
        await held(attacker, data, connections, again=True)

    return send


ATTACKS: Final = (
    Attack("bodies/wrong-ids", "4 MiB of ids that no model has", faulty(lambda: track_of(b"99", 4))),
    Attack("bodies/wrong-ids-8", "8 MiB of them", faulty(lambda: track_of(b"99", 8))),
    Attack("bodies/empty-lists", "4 MiB of [] where ids are expected", faulty(lambda: track_of(b"[]", 4))),
    Attack("bodies/objects", "4 MiB of {} where ids are expected", faulty(lambda: track_of(b"{}", 4))),
    Attack("bodies/invalid-ids", "8 MiB of text in invalid_ids", faulty(lambda: track_of(b'""', 8, b"invalid_ids"))),
    Attack("bodies/good-ids", "16 MiB of good ids, too many of them", faulty(lambda: track_of(b"5", 16))),
    Attack("bodies/same-member", "4 MiB of the same member", faulty(lambda: members(lambda number: "model", 4))),
    Attack(
        "bodies/unknown-members", "4 MiB of members that do not exist", faulty(lambda: members(lambda n: f"m{n}", 4))
    ),
    Attack("bodies/nested", "4 MiB of brackets", faulty(lambda: nested(4))),
    Attack("bodies/wrong-atoms", "8 MiB of coordinates that are no numbers", faulty(lambda: wrong_atoms(8))),
    Attack(
        "bodies/long-text",
        "30 MiB of one string",
        faulty(lambda: in_place_of(b"sequence", b'"' + b"A" * 30 * MIB + b'"')),
    ),
    Attack(
        "bodies/explained", "4 MiB of wrong ids, to be explained", faulty(lambda: track_of(b"99", 4), calls.EXPLAIN)
    ),
    Attack(
        "bodies/explained-members",
        "4 MiB of members that do not exist, to be explained",
        faulty(lambda: members(lambda n: f"m{n}", 4), calls.EXPLAIN),
    ),
    Attack("bodies/withheld", "40 bodies of 30 MiB, the last byte withheld", withheld(HELD_BYTES, 1)),
    Attack(
        "bodies/withheld-half", "40 bodies of 30 MiB, half of each withheld", withheld(HELD_BYTES // 2, HELD_BYTES // 2)
    ),
    Attack("bodies/dripped", "200 bodies of 30 MiB at a byte a second", withheld(1, HELD_BYTES, 200, b" ")),
    Attack(
        "bodies/dripped-late",
        "40 bodies of 30 MiB whose end comes at a byte a second",
        withheld(HELD_BYTES - 10**4, 10**4, drip=b" "),
    ),
    Attack("bodies/chunked", "40 bodies in chunks without an end, 30 MiB of each", chunked(HELD_BYTES)),
    Attack("bodies/expecting", "400 bodies of 30 MiB announced with Expect and never sent", expecting(HELD_BYTES, 400)),
)
