"""Checks of what administrators enter: names and texts, refused in one sentence."""

import re

from gateway.core.cache_directives import NAME_PATTERN as NAMESPACE
from gateway.core.credentials import without_secrets

MAX_TEXT = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


class InvalidArgument(Exception):
    """The request cannot be carried out; the message says why, in one sentence."""


def check_names(**names: str) -> None:
    """Names of users, teams and administrators."""
    for what, name in names.items():
        _refuse_keys(what, name)
        if not _NAME.fullmatch(name):
            raise InvalidArgument(
                f"The {what} must be 1 to 100 letters (a to z, A to Z), digits or . _ @ + -, and begin with a letter "
                "or a digit."
            )


def check_text(**texts: str) -> None:
    """Remarks and reasons."""
    for what, text in texts.items():
        _refuse_keys(what, text)
        if len(text) > MAX_TEXT or not text.isprintable():
            raise InvalidArgument(f"The {what} must be at most {MAX_TEXT} printable characters.")


def _refuse_keys(what: str, text: str) -> None:
    """What is entered is listed and recorded: no place for a key that was pasted by mistake."""
    if without_secrets(text) != text:
        raise InvalidArgument(f"The {what} contains a virtual key; if others could see it, revoke it.")


def check_namespace(name: str) -> None:
    """A namespace's name, as callers can write it in a header."""
    if not NAMESPACE.fullmatch(name):
        raise InvalidArgument(
            "The namespace must be 1 to 64 letters (a to z, A to Z), digits or . _ -, and begin with a letter or "
            "a digit."
        )
