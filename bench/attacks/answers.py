"""What the upstream answers to the attacker's calls: more than fits, or a refusal that concerns this call alone.

Answers of real numbers are made by the stand-in upstream's own `logits` (a head of 4,096 numbers a position). As long
as it makes one it answers nobody, so only the times of hits say something about the gateway.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.attacks import calls
from bench.attacks.attack import Attack, Attacker, Send
from bench.attacks.crashing import crashing
from bench.attacks.sending import cuts, paced, unread

LARGE: Final = 36_000_000
TOO_LARGE: Final = 70_000_000
# Every two seconds: 36 MB a second would be more than the stand-in upstream can make.
SELDOM: Final = 0.5
STRUCTURE: Final = {"logits_config": {"structure": True}}
POSITIONS_36_MB, POSITIONS_60_MB = 450, 750


def asking(endpoint: str, body: bytes, *, hung_up: bool = False, rate: float = SELDOM) -> Send:
    async def send(attacker: Attacker) -> None:
        request = attacker.request(calls.API + endpoint, body)
        await attacker.begin()
        await paced(attacker, [request], rate, cuts=cuts(20, len(request)) if hung_up else ())

    return send


def leaving(body: bytes, connections: int) -> Send:
    """Large answers that nobody fetches."""

    async def send(attacker: Attacker) -> None:
        request = attacker.request(calls.API + "logits", body)
        await attacker.begin()
        await unread(attacker, request, connections, every_s=5.0)

    return send


def wide(positions: int) -> bytes:
    return calls.logits(1, inputs={"sequence": calls.tokens(1, positions - 2)}, **STRUCTURE)


def padded(size: int) -> Sequence[Mapping[str, Any]]:
    return ({"endpoint": "logits", "pad_bytes": size},)


def text(size: int) -> Sequence[Mapping[str, Any]]:
    body = '{"logits":null,"embeddings":[[1.5]],"hidden_states":null,"note":"' + "x" * size + '"}'
    return ({"endpoint": "logits", "body": body},)


def small_items(size: int) -> Sequence[Mapping[str, Any]]:
    items = '{"logits":null,"embeddings":[' + ",".join(["[]"] * (size // 3)) + '],"hidden_states":null}'
    return ({"endpoint": "logits", "body": items},)


def refusing(status: int, times: int | None = None, **more: Any) -> Sequence[Mapping[str, Any]]:
    """The upstream refuses so many calls of generate, which only the attacker calls, and takes the next ones."""
    rule = {"endpoint": "generate", "status": status, **more}
    return ({**rule, "times": times} if times else rule,)


def letters(number: int) -> bytes:
    return calls.generate("_" * 8 + calls.letters(number))


def few(burst: int = 1) -> Send:
    return crashing("generate", letters, 100, burst=burst)


ATTACKS: Final = (
    Attack("answers/text-36", "an answer of 36 MB of text", asking("logits", calls.logits(1)), text(LARGE)),
    Attack("answers/numbers-36", "an answer of 36 MB of numbers", asking("logits", wide(POSITIONS_36_MB))),
    Attack("answers/numbers-60", "an answer of 60 MB of numbers", asking("logits", wide(POSITIONS_60_MB))),
    Attack("answers/items-30", "an answer of 30 MB of []", asking("logits", calls.logits(1)), small_items(30_000_000)),
    Attack("answers/too-large", "an answer that is too large", asking("logits", calls.logits(1)), padded(TOO_LARGE)),
    Attack(
        "answers/too-large-often",
        "the same, ten times a second, thirty at once",
        crashing("logits", calls.logits, 100),
        padded(TOO_LARGE),
    ),
    Attack(
        "answers/hung-up",
        "36 MB of numbers, and the caller hangs up",
        asking("logits", wide(POSITIONS_36_MB), hung_up=True),
    ),
    Attack(
        "answers/unread",
        "answers of 36 MB that 20 connections do not fetch",
        leaving(calls.logits(1), 20),
        padded(LARGE),
    ),
    Attack("keys/429-once", "one 429 to the attacker's call", few(), refusing(429, 1, retry_after=30)),
    Attack("keys/429-while", "fifty 429 in a row to the attacker's calls", few(30), refusing(429, 50, retry_after=5)),
    Attack("keys/429-always", "a 429 to each of the attacker's calls", few(), refusing(429)),
    Attack("keys/429-a-day", "one 429 that asks for a day of patience", few(), refusing(429, 1, retry_after=86_400)),
    Attack(
        "keys/429-date",
        "one 429 that names a date far away",
        few(),
        refusing(429, 1, retry_after="Wed, 21 Oct 2099 07:28:00 GMT"),
    ),
    Attack("keys/401-once", "one 401 to the attacker's call", few(), refusing(401, 1)),
    Attack("keys/401-always", "a 401 to each of the attacker's calls", few(), refusing(401)),
    Attack("keys/402-once", "one 402 to the attacker's call", few(), refusing(402, 1)),
    Attack("keys/403-always", "a 403 to each of the attacker's calls", few(30), refusing(403)),
)
