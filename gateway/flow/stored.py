"""What storing an answer comes to."""

from dataclasses import dataclass, field

from gateway.core.types import Answer

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a computed answer: what equal calls may share, whether that is stored, and whether it is an
    earlier answer that was there already."""

    answer: Answer
    stored: bool
    earlier: bool = field(default=False, compare=False)
