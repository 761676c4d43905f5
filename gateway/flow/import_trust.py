"""Whose files are believed: a gateway's own identity as an exporter, and the public keys that it trusts."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from gateway.core.signatures import Signer, public_text
from gateway.flow.admin_arguments import InvalidArgument


@dataclass(frozen=True, slots=True)
class TransferIdentity:
    """What a gateway exports as, and whose files it trusts.

    `version` is its own; `records` seals entries, `receipts` encrypts receipts. `signer` loads the signing key when it
    is needed; `trusted` are the public keys in the settings.
    """

    version: str
    records: bytes
    receipts: bytes
    signer: Callable[[], Signer]
    trusted: Collection[bytes] = ()


def is_trusted(signer: bytes, identity: TransferIdentity, trust: Collection[bytes], *, unverified: bool) -> bool:
    """Whether a file that is signed with this key (empty: with none) comes from a gateway that is trusted.

    Those are the keys in `trust` and in the settings, and the gateway's own. Raises InvalidArgument for another file,
    unless any will do (`unverified`).
    """
    if signer and (signer in trust or signer in identity.trusted or signer == identity.signer().public_key):
        return True
    if unverified:
        return False
    if not signer:
        raise InvalidArgument(
            "The file is not signed, so nobody vouches for its answers. --unverified imports it all the same; receipts "
            "then say so."
        )
    raise InvalidArgument(
        f"The file is signed with {public_text(signer)}, which is not among cache.trusted_signers. If that is the key "
        "of the gateway that you expect, --trust it; --unverified imports the file without trusting it, and receipts "
        "then say so."
    )
