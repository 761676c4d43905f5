"""Receipts for whoever asks: what one says, the same as a signed statement, and whether a statement is genuine.

Only the gateway that issued a receipt can read it. A statement can be checked by anybody who has the public key of that
gateway; here it is also said whether that key is one that the operator trusts.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from gateway.core import statements
from gateway.core.problems import SIGNING_UNAVAILABLE, UNKNOWN_RECEIPT, Problem
from gateway.core.signatures import Signer, public_text
from gateway.flow.render import Renderer


class SigningKeyUnusable(Exception):
    """The file of the signing key cannot be read or made. The message names the file and says why."""


class ReceiptDesk:
    """`signer` loads the signing key when it is first needed; `trusted` are the public keys in the settings."""

    def __init__(self, renderer: Renderer, signer: Callable[[], Signer], trusted: Collection[bytes] = ()) -> None:
        self._renderer, self._load, self._trusted = renderer, signer, trusted
        self._signer: Signer | None = None

    def read(self, identifier: str) -> Mapping[str, Any]:
        """What a receipt says; a 404 problem for one that this gateway did not issue."""
        told = self._renderer.told(identifier)
        if told is None:
            raise Problem(UNKNOWN_RECEIPT)
        return told

    def signed(self, identifier: str) -> Mapping[str, Any]:
        """The same, with a statement of it (`statement`) and the public key to check that with."""
        told, signer = self.read(identifier), self._own()
        return {**told, "statement": statements.sign(signer, told), "public_key": public_text(signer.public_key)}

    def check(self, text: str) -> Mapping[str, Any]:
        """What a statement says, whose it is, and whether that gateway is trusted (`own`, `trusted`, `unknown`)."""
        found = statements.read(text)
        if found is None:
            return {"genuine": False, "signed_by": None, "signer": None, "receipt": None}
        own = found.public_key == self._own().public_key
        signer = "own" if own else "trusted" if found.public_key in self._trusted else "unknown"
        return {
            "genuine": True,
            "signed_by": public_text(found.public_key),
            "signer": signer,
            "receipt": dict(found.content),
        }

    def public_key(self) -> Mapping[str, Any]:
        """The public key of this gateway, and those that it trusts."""
        trusted = sorted(map(public_text, self._trusted))
        return {"public_key": public_text(self._own().public_key), "trusted": trusted}

    def _own(self) -> Signer:
        if self._signer is None:
            try:
                self._signer = self._load()
            except SigningKeyUnusable:
                raise Problem(SIGNING_UNAVAILABLE) from None
        return self._signer
