"""What storing an answer comes to."""

from dataclasses import dataclass

from gateway.core.types import Answer

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a computed answer: what equal calls may share, and whether that is stored."""

    answer: Answer
    stored: bool
