"""The audit record of these settings, for reading: its lines, and whether they are all there. Never writes to it."""

from collections.abc import Iterator
from pathlib import Path

from gateway.adapters.audit_file import read_lines
from gateway.core.audit import BrokenLink, ChainHead, verify
from gateway.settings import Settings, master_secret
from gateway.wiring.command_services import open_services
from gateway.wiring.stores import audit_secret, chain_name


def record_lines(path: Path) -> Iterator[bytes]:
    """The record's lines; a record that nothing was written to has none."""
    return read_lines(path) if path.exists() else iter(())


def verify_record(settings: Settings, path: Path, head: ChainHead | None) -> ChainHead | BrokenLink:
    """The end of a whole chain, which must hold `head` where that is known; or the first broken link."""
    return verify(audit_secret(master_secret(settings)), record_lines(path), head)


async def witnessed_head(settings: Settings) -> ChainHead | None:
    """The head of this machine's chain as the state store keeps it."""
    async with open_services(settings) as parts:
        return await parts.heads.get(chain_name(settings))
