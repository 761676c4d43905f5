"""Connections that cost descriptors and memory: idle, half a head, never read, hung up.

The gateway is started with the soft limit of an ordinary shell, 1,024 descriptors for each process.
"""

from collections.abc import Callable
from typing import Final

from bench.attacks import calls
from bench.attacks.attack import Attack, Attacker, Send
from bench.attacks.refusals import TENSOR
from bench.attacks.sending import MOST_AT_ONCE, churned, cuts, held, paced, unread

EACH: Final = 1500
UNREAD: Final = 60
LONG: Final = 4094
SLOW_WORK: Final = ({"endpoint": "fold", "latency_s": 8.0},)


def idle(data: Callable[[Attacker], bytes], drip: bytes = b"") -> Send:
    """1,500 connections for each worker, which say this much and then nothing; replaced where they are closed."""

    async def send(attacker: Attacker) -> None:
        said = data(attacker)
        await attacker.begin()
        await held(attacker, said, EACH * attacker.workers, [drip] if drip else [], again=True)

    return send


def half_head(attacker: Attacker) -> bytes:
    return attacker.request(TENSOR, b"{}", user="")[:60]


def refused_once(attacker: Attacker) -> bytes:
    return attacker.request(TENSOR, b"{}", user="nobody's")


def accepted_once(attacker: Attacker) -> bytes:
    """With a valid key: its connection is not a stranger's."""
    return attacker.request(TENSOR, b"{}")


def long_call() -> bytes:
    """A call of 12 kB whose answer has 150 kB, and is kept."""
    return calls.generate_tensor(1, inputs={"sequence": calls.tokens(1, LONG)})


def leaving(connections: int, *, sips: bool = False) -> Send:
    async def send(attacker: Attacker) -> None:
        request = attacker.request(TENSOR, long_call())
        await attacker.begin()
        await unread(attacker, request, connections, sips=sips)

    return send


def hanging_up(endpoint: str, make: Callable[[int], bytes], rate: float, burst: int) -> Send:
    async def send(attacker: Attacker) -> None:
        requests = [attacker.request(calls.API + endpoint, make(number)) for number in range(MOST_AT_ONCE)]
        await attacker.begin()
        await paced(attacker, requests, rate, burst, cuts(101, min(map(len, requests))))

    return send


def churning(callers: int) -> Send:
    async def send(attacker: Attacker) -> None:
        await attacker.begin()
        await churned(attacker, callers)

    return send


def opening(attacker: Attacker) -> bytes:
    return b""


ATTACKS: Final = (
    Attack("connections/idle", "1,500 idle connections for each worker", idle(opening)),
    Attack("connections/half-heads", "as many that send half a head", idle(half_head)),
    Attack("connections/dripping-heads", "as many that send a head byte by byte", idle(half_head, b"a")),
    Attack("connections/refused-once", "as many that stay after a 401", idle(refused_once)),
    Attack("connections/accepted-once", "as many that stay after a request with a valid key", idle(accepted_once)),
    Attack("connections/opened-and-closed", "64 callers that open and close connections", churning(64)),
    Attack("connections/unread", "60 connections that ask for a long answer and never read", leaving(UNREAD)),
    Attack("connections/sipped", "the same, and read some bytes a second", leaving(UNREAD, sips=True)),
    Attack(
        "connections/hung-up",
        "cold calls whose caller hangs up",
        hanging_up("generate_tensor", calls.generate_tensor, 10, 1),
    ),
    Attack(
        "connections/hung-up-bursts",
        "cold calls of eight seconds, thirty at once, whose caller hangs up",
        hanging_up("fold", calls.fold, 10, 30),
        SLOW_WORK,
    ),
    Attack(
        "connections/hung-up-repeats",
        "repeats of a long answer, hung up on",
        hanging_up("generate_tensor", lambda _: long_call(), 10, 10),
    ),
)
