"""Receipts on the command line: what one certifies, a signed statement of it, and the check of a statement.

A statement is checked with a public key; that needs no gateway, and no settings where the key is given.
"""

from collections.abc import Mapping
from typing import Any, BinaryIO

import click
import orjson

from gateway.cli.options import CommandError, CommandOptions, with_options
from gateway.core import receipts, statements
from gateway.core.signatures import public_text, read_public_key
from gateway.settings import Settings, master_secret
from gateway.settings import signing_key as load_signing_key
from gateway.wiring.cache_config import sealing_keys, trusted_signers

DASHED = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
"""For a command whose argument may begin with a dash, as one in 64 receipt ids does."""


@click.command(context_settings=DASHED)
@click.argument("receipt_id")
@click.option("--signed", is_flag=True, help="Also print a signed statement, which anybody can check.")
@with_options
def receipt(options: CommandOptions, receipt_id: str, signed: bool) -> None:
    """Show what a receipt certifies: model, call, class, origin, digest of the answer; and a line to cite it by."""
    settings = options.settings()
    found = receipts.decode(sealing_keys(master_secret(settings)).receipts, receipt_id)
    if found is None:
        raise CommandError("This gateway issued no receipt with that id.")
    told: dict[str, Any] = dict(receipts.told(found, receipt_id))
    if signed:
        signer = load_signing_key(settings)
        told |= {"statement": statements.sign(signer, told), "public_key": public_text(signer.public_key)}
    options.show(told, _lines(told))


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--key", "keys", multiple=True, help="The public key that must have signed it. Default: a trusted one.")
@with_options
def verify(options: CommandOptions, file: BinaryIO, keys: tuple[str, ...]) -> None:
    """Check the signed statement of a receipt in FILE ("-": standard input), and show what it says.

    Without --key the statement must be of this gateway, or of one of cache.trusted_signers.
    """
    accepted = frozenset(map(read_key, keys)) if keys else _trusted(options.settings())
    found = statements.read(_statement_in(file.read(4 * statements.MAX_CHARS)))
    if found is None:
        raise CommandError("This is no statement of a gateway, or it was changed: its signature is not genuine.")
    if found.public_key not in accepted:
        raise CommandError(
            f"It is signed with {public_text(found.public_key)}, which is not a key that is trusted here."
        )
    signed_by = public_text(found.public_key)
    about = {"genuine": True, "signed_by": signed_by, "receipt": dict(found.content)}
    options.show(about, [f"The statement is genuine, signed with {signed_by}.", *_lines(found.content)])


@click.command("signing-key")
@with_options
def signing_key(options: CommandOptions) -> None:
    """Print the public key with which exports and statements of this gateway are checked."""
    settings = options.settings()
    key = public_text(load_signing_key(settings).public_key)
    options.show({"public_key": key, "file": str(settings.signing_file)}, [key])


def read_key(text: str) -> bytes:
    """A public key that somebody typed."""
    key = read_public_key(text)
    if key is None:
        raise CommandError("That is no public key of a gateway, as `cache signing-key` prints it.")
    return key


def _trusted(settings: Settings) -> frozenset[bytes]:
    return trusted_signers(settings) | {load_signing_key(settings).public_key}


def _statement_in(content: bytes) -> str:
    """The statement itself, or the member of that name in what the gateway answers."""
    try:
        tree = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode("ascii", "replace").strip()
    return str(tree.get("statement")) if isinstance(tree, dict) else ""


def _lines(told: Mapping[str, Any]) -> list[str]:
    """Each member in a line, those of the origin of an imported answer indented."""
    lines = []
    for name, value in told.items():
        if isinstance(value, Mapping):
            lines += [name, *(f"  {inner:<12} {'-' if text is None else text}" for inner, text in value.items())]
        else:
            lines.append(f"{name:<14} {value}")
    return lines
