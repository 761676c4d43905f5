"""What is refused and should cost nothing: declared calls without approval, requests beyond the rate, unknown keys."""

from collections.abc import Callable, Sequence
from typing import Final

from bench.attacks import calls
from bench.attacks.attack import MALLORY, SLOW, Attack, Attacker, Send
from bench.attacks.sending import flooded

CONNECTIONS: Final = 64
DISTINCT: Final = 2000
TENSOR: Final = calls.API + "generate_tensor"
Requests = Callable[[Attacker], Sequence[bytes]]


def flood(make: Requests, connections: int = CONNECTIONS) -> Send:
    """As fast as it is answered."""

    async def send(attacker: Attacker) -> None:
        requests = make(attacker)
        await attacker.begin()
        await flooded(attacker, requests, connections)

    return send


def declared(distinct: int, target: str = TENSOR, user: str = MALLORY) -> Requests:
    def make(attacker: Attacker) -> Sequence[bytes]:
        bodies = [calls.generate_tensor(number, potential_sequence_of_concern=True) for number in range(distinct)]
        return [attacker.request(target, body, user=user) for body in bodies]

    return make


def plain(distinct: int, target: str = TENSOR, user: str = MALLORY) -> Requests:
    def make(attacker: Attacker) -> Sequence[bytes]:
        return [attacker.request(target, calls.generate_tensor(number), user=user) for number in range(distinct)]

    return make


def invented_keys(attacker: Attacker) -> Sequence[bytes]:
    """Of the right form but for their checksum, or of no form at all."""
    keys = [f"esmgw_{number:08x}_{'a' * 32}{number:06x}" for number in range(DISTINCT)]
    return [attacker.request(TENSOR, calls.generate_tensor(1), user=key) for key in keys]


def malformed_keys(attacker: Attacker) -> Sequence[bytes]:
    return [attacker.request(TENSOR, b"{}", user=key) for key in ("x", "esmgw_", "e" * 4000, '"', "esmgw_a_b_c")]


def unknown_paths(attacker: Attacker) -> Sequence[bytes]:
    return [attacker.get(f"/{'x' * (number % 50)}/{number}") for number in range(DISTINCT)]


ATTACKS: Final = (
    Attack("refusals/declared", "declared calls without approval, as fast as they are refused", flood(declared(1))),
    Attack("refusals/declared-distinct", "the same, each call another one", flood(declared(DISTINCT))),
    Attack("refusals/declared-slow-key", "the same by a key of two requests a minute", flood(declared(50, user=SLOW))),
    Attack("refusals/declared-explained", "declared calls to be explained", flood(declared(50, calls.EXPLAIN))),
    Attack("refusals/rate", "a key of two requests a minute on 64 connections", flood(plain(50, user=SLOW))),
    Attack("refusals/rate-default", "a key of 600 a minute on 64 connections, distinct calls", flood(plain(DISTINCT))),
    Attack("refusals/unknown-keys", "keys that nobody was given", flood(invented_keys)),
    Attack("refusals/malformed-keys", "keys of no form", flood(malformed_keys)),
    Attack("refusals/unknown-paths", "paths that do not exist, without a key", flood(unknown_paths)),
    Attack(
        "refusals/faulty", "calls that are no JSON", flood(lambda attacker: [attacker.request(TENSOR, b"{", user=SLOW)])
    ),
)
