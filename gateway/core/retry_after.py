"""Retry-After, in the header and in words: the SDK shows a caller the words alone, and ignores the header."""

from collections.abc import Mapping
from math import ceil


def whole_seconds(seconds: float) -> int:
    """Rounded up, and at least 1: a caller who is a moment early would be refused again."""
    return max(1, ceil(round(seconds, 3)))


def retry_after(seconds: float) -> Mapping[str, str]:
    """The header field (RFC 9110 section 10.2.3)."""
    return {"Retry-After": str(whole_seconds(seconds))}


def try_again(seconds: float) -> str:
    """The same for `detail`: "try again in 9 s"."""
    return f"try again in {whole_seconds(seconds)} s"
