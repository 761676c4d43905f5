"""The part of an answer that callers with different spellings share, and each caller's own inputs around it."""

from gateway.core.nouns import Call


def frame(call: Call, body: bytes) -> bytes | None:
    """The answer without the inputs it echoes; None where the echo is not what this call sent."""
    raise NotImplementedError


def around(call: Call, frame: bytes) -> bytes:
    """The answer as this call's caller gets it: the frame with the caller's own inputs."""
    raise NotImplementedError
