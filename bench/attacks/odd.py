"""What a caller may ask for and should pay for: huge folds, many at once, other namespaces, odd Cache-Control."""

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final

import zstandard

from bench.attacks import calls
from bench.attacks.attack import SLOW, Attack, Attacker, Send
from bench.attacks.refusals import TENSOR, flood
from bench.attacks.sending import paced
from bench.bodies import big

HUGE: Final = {"num_sampling_steps": 10_000, "num_loops": 10_000}
# Work that takes so long that what was sent stays where it is for the time of an attack.
WORK: Final = ({"endpoint": "fold", "latency_s": 10.0},)
ROWS, COLUMNS = 8_000, 500
UNPACKED: Final = 256_000_000
ODDITIES: Final = (
    "Cache-Control: " + "max-age=1, " * 500,
    'Cache-Control: namespace="' + "a" * 6000 + '"',
    "Cache-Control: " + ",".join(f"pool=p{number}" for number in range(300)),
    'Cache-Control: "\\"\\"\\"' + '\\"' * 2000,
    "Cache-Control: max-age=" + "9" * 4000,
    "Cache-Control: sample=" + "1" * 3000,
    "Cache-Control: no-cache=" + '"' + "," * 5000 + '"',
    'If-None-Match: "' + '","' * 2000 + '"',
)


def crowding(make: Callable[[int], bytes], rate: float = 10.0, burst: int = 100) -> Send:
    """A hundred at once, each another call."""

    async def send(attacker: Attacker) -> None:
        requests = [attacker.request(calls.API + "fold", make(number)) for number in range(600)]
        await attacker.begin()
        await paced(attacker, requests, rate, burst)

    return send


def with_header(header: Callable[[int], str], *, distinct: int = 500, user: str = "mallory") -> Any:
    def make(attacker: Attacker) -> Sequence[bytes]:
        return [
            attacker.request(TENSOR, calls.generate_tensor(number), header(number), user=user)
            for number in range(distinct)
        ]

    return make


def receipts(attacker: Attacker) -> Sequence[bytes]:
    return [attacker.get(f"/gateway/v1/receipts/{number:064x}", user=SLOW) for number in range(500)]


def explained(attacker: Attacker) -> Sequence[bytes]:
    return [attacker.request(calls.EXPLAIN, calls.generate_tensor(number), user=SLOW) for number in range(500)]


def explained_large(attacker: Attacker) -> Sequence[bytes]:
    return [attacker.request(calls.EXPLAIN + "?canonical=true", big().text)]


def alignment(number: int) -> bytes:
    rows = [calls.letters(number, COLUMNS)] * ROWS
    return calls.fold(number, msa={"sequences": rows})


def msas(attacker: Attacker) -> Sequence[bytes]:
    return [attacker.request(calls.API + "fold", alignment(number)) for number in range(2)]


def packed(number: int) -> bytes:
    """An alignment of some kB that unpacks to 256 MB (base64 of zstd, as esm/utils/compression.py packs it)."""
    text = b'{"sequences":["' + b"A" * UNPACKED + b'"]}'
    return calls.fold(number, msa=base64.b64encode(zstandard.compress(text)).decode())


def bombs(attacker: Attacker) -> Sequence[bytes]:
    return [attacker.request(calls.API + "fold", packed(1))]


ATTACKS: Final = (
    Attack(
        "odd/fold-huge",
        "folds of 10,000 steps and loops, a hundred at once",
        crowding(lambda n: calls.fold(n, **HUGE)),
        WORK,
    ),
    Attack("odd/many-waiting", "folds that take ten seconds, a hundred at once", crowding(calls.fold), WORK),
    Attack("odd/herd", "the same fold a hundred times at once", crowding(lambda _: calls.fold(1)), WORK),
    Attack("odd/alignments", "folds with an alignment of 4 MB", flood(msas, 4)),
    Attack("odd/packed", "folds with a packed alignment that unpacks to 256 MB", flood(bombs, 8)),
    Attack(
        "odd/namespaces", "namespaces that do not exist", flood(with_header(lambda n: f"Cache-Control: namespace=n{n}"))
    ),
    Attack("odd/pools", "each call in a pool of its own", flood(with_header(lambda n: f"Cache-Control: pool=p{n}"))),
    Attack(
        "odd/not-in-cache",
        "only-if-cached of what nobody asked",
        flood(with_header(lambda _: "Cache-Control: only-if-cached")),
    ),
    Attack(
        "odd/no-cache",
        "the same call computed again and again",
        flood(with_header(lambda _: "Cache-Control: no-cache", distinct=1)),
    ),
    Attack(
        "odd/cache-control",
        "directives that are long and odd",
        flood(with_header(lambda n: ODDITIES[n % len(ODDITIES)])),
    ),
    Attack("odd/receipts", "receipts that do not exist, by a key of two requests a minute", flood(receipts)),
    Attack("odd/explained", "explanations, by a key of two requests a minute", flood(explained)),
    Attack("odd/explained-large", "explanations of 560 kB of coordinates in full", flood(explained_large, 8)),
)
