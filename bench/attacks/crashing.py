"""Calls that make the upstream fail: what the sampler is known to fall over, and what a gateway cannot know of.

The upstream's 500 says something about the call and its caller; nobody else's calls may be refused for it. The default
limit of 600 a minute is used to the full, most of it in bursts: one success of somebody else in between is enough to
hide a steady failure from a counter of failures in a row.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bench.attacks import calls
from bench.attacks.attack import MALLORY, TRUDY, Attack, Attacker, Send
from bench.attacks.sending import paced

RATE: Final = 10.0
BURST: Final = 30
DISTINCT: Final = 300
# All ids of amino acids and other letters, so that nothing is left to draw.
EVERY_ID: Final = list(range(64))
Make = Callable[[int], bytes]


def crashing(
    endpoint: str, make: Make, distinct: int = 1, users: Sequence[str] = (MALLORY,), burst: int = BURST
) -> Send:
    """So many different calls in turn, by these users in turn."""

    async def send(attacker: Attacker) -> None:
        requests = [
            attacker.request(calls.API + endpoint, make(number), user=user)
            for number in range(distinct)
            for user in users
        ]
        await attacker.begin()
        await paced(attacker, requests, RATE * len(users), burst)

    return send


def failing(endpoint: str, status: int, **more: Any) -> Sequence[Mapping[str, Any]]:
    """The upstream answers every call of this endpoint so; the watched user calls another one."""
    return ({"endpoint": endpoint, "status": status, **more},)


def whole(number: int) -> bytes:
    return calls.generate(calls.letters(number))


def mixed(number: int) -> bytes:
    """A call that is fine but for what the upstream makes of it."""
    return calls.generate("_" * 8 + calls.letters(number))


def wrong_state(number: int) -> bytes:
    return calls.generate("_" * 60, inputs={"sequence": "_" * 60, "secondary_structure": "X" * 60})


def wrong_states(number: int) -> bytes:
    return calls.encode(number, secondary_structure="HELIX?"[:5] * 12)


ATTACKS: Final = (
    Attack(
        "crashing/nothing-masked",
        "generate in letters with nothing masked, evenly",
        crashing("generate", whole, burst=1),
    ),
    Attack(
        "crashing/wrong-letter",
        "generate with a secondary structure of no such letter",
        crashing("generate", wrong_state),
    ),
    Attack(
        "crashing/all-ids-invalid",
        "generate with every id in invalid_ids",
        crashing("generate", lambda number: calls.generate("_" * 60, invalid_ids=EVERY_ID)),
    ),
    Attack(
        "crashing/encode-letters",
        "encode with wrong letters, each call another one",
        crashing("encode", wrong_states, DISTINCT),
    ),
    Attack("crashing/nothing-masked-bursts", "the same, thirty at once", crashing("generate", whole)),
    Attack("crashing/distinct", "nothing masked, each call another one", crashing("generate", whole, DISTINCT)),
    Attack(
        "crashing/two-keys",
        "two users with the same crashing call at the same time",
        crashing("generate", whole, 1, (MALLORY, TRUDY)),
    ),
    Attack(
        "crashing/function-at-zero",
        "generate of the function track at temperature 0 without annealing",
        crashing(
            "generate",
            lambda number: calls.generate(
                calls.letters(number), track="function", temperature=0, temperature_annealing=False
            ),
            DISTINCT,
        ),
    ),
    Attack(
        "crashing/unknown-500",
        "a valid call of generate that the upstream answers with 500",
        crashing("generate", mixed),
        failing("generate", 500),
    ),
    Attack(
        "crashing/unknown-500-distinct",
        "valid calls of generate, each another one, that the upstream answers with 500",
        crashing("generate", mixed, DISTINCT),
        failing("generate", 500),
    ),
    Attack(
        "crashing/unknown-500-two-keys",
        "the same by two users",
        crashing("generate", mixed, DISTINCT, (MALLORY, TRUDY)),
        failing("generate", 500),
    ),
    Attack(
        "crashing/502-fold",
        "valid calls of fold that the upstream answers with 502",
        crashing("fold", calls.fold, DISTINCT),
        failing("fold", 502),
    ),
    Attack(
        "crashing/503-retry-after",
        "valid calls of fold that the upstream answers with 503 and Retry-After",
        crashing("fold", calls.fold, DISTINCT),
        failing("fold", 503, retry_after=30),
    ),
    Attack(
        "crashing/dropped",
        "valid calls of encode whose connection the upstream drops",
        crashing("encode", calls.encode, DISTINCT),
        ({"endpoint": "encode", "drop": "after_work"},),
    ),
    Attack(
        "crashing/cut-short",
        "valid calls of encode whose answer ends in the middle",
        crashing("encode", calls.encode, DISTINCT),
        ({"endpoint": "encode", "truncate_at": 100},),
    ),
)
