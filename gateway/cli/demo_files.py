"""The files of a demo: its settings, made-up upstream keys, the virtual keys that it issued, and its ports.

A second start finds all of them again. The upstream's address is part of every cache key, so with another port the
cache would be empty.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.core import credentials
from gateway.core.types import Approval
from gateway.flow.admin_arguments import InvalidArgument
from gateway.flow.key_admin import KeyAdmin, NewKey
from gateway.ports import Clock
from gateway.settings import Settings, write_secret
from gateway.wiring.command_services import open_services

USER, APPROVED_USER = "demo", "demo-approved"
OFFICERS = ("demo-officer-one", "demo-officer-two")
APPROVAL_S = 30 * 86_400
AMPLE = {"requests_per_minute": 1_000_000, "concurrent": 2_000, "units_per_day": 1_000_000_000}
UPSTREAM_KEYS = {"demo-1": False, "demo-concern": True}
KEYS_FILE, PORTS_FILE, SETTINGS_FILE = "demo-keys.json", "demo-ports.json", "gateway.toml"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks of a demo."""

    directory: Path
    port: int
    metrics_port: int
    workers: int
    units_per_day: int | None
    requests_per_minute: int | None


def write_settings(options: DemoOptions, sandbox_url: str, metrics_port: int) -> Path:
    """The settings file of this start, and the key files that it names."""
    own = {**AMPLE}
    if options.units_per_day is not None:
        own["units_per_day"] = options.units_per_day
    if options.requests_per_minute is not None:
        own["requests_per_minute"] = options.requests_per_minute
    for name in UPSTREAM_KEYS:
        write_secret(options.directory / "secrets" / name, f"sandbox-{name}\n".encode())
    keys = "".join(
        f'\n[[upstream.keys]]\nid = "{name}"\nfile = "secrets/{name}"\nconcern = {json.dumps(concern)}\n'
        for name, concern in UPSTREAM_KEYS.items()
    )
    text = (
        "# Written by `esm-gateway demo` at each start; a change here is lost.\n"
        'data_dir = "."\n'
        f"\n[listen]\nport = {options.port}\nworkers = {options.workers}\nmetrics_port = {metrics_port}\n"
        "lame_duck_s = 0\n"
        f'\n[upstream]\nurl = "{sandbox_url}"\n{keys}'
        "\n[stores]\ncache_mb = 256\n"
        f"{_limits(USER, own)}{_limits(APPROVED_USER, AMPLE)}"
    )
    path = options.directory / SETTINGS_FILE
    path.write_text(text)
    return path


def remembered_ports(directory: Path) -> Mapping[str, int]:
    """The ports of the last start, by what listened there; empty at the first."""
    return {name: port for name, port in _read(directory / PORTS_FILE).items() if isinstance(port, int)}


def remember_ports(directory: Path, ports: Mapping[str, int]) -> None:
    (directory / PORTS_FILE).write_text(json.dumps(ports))


async def find_or_make_keys(settings: Settings) -> Mapping[str, str]:
    """The two virtual keys: those issued before if they are still valid, else new ones."""
    async with open_services(settings) as parts:
        path = settings.data_dir / KEYS_FILE
        known = _read(path)
        texts = {
            "key": await _key(parts.key_admin, known.get("key"), USER),
            "approved_key": await _key(parts.key_admin, known.get("approved_key"), APPROVED_USER),
        }
        if texts != known:
            path.unlink(missing_ok=True)
            write_secret(path, json.dumps(texts).encode() + b"\n")
        await _approval(parts.key_admin, parts.clock)
        return texts


async def _key(key_admin: KeyAdmin, text: object, user: str) -> str:
    key = credentials.parse(text) if isinstance(text, str) else None
    if key is not None:
        try:
            if (await key_admin.key(key.public_id)).revoked is None:
                return key.text
        except InvalidArgument:
            pass  # the store has lost it: issue a new one
    _, made = await key_admin.create_key(NewKey(user, "demo", label="demo"), by="demo")
    return made


async def _approval(key_admin: KeyAdmin, clock: Clock) -> Approval:
    """An approval with at least half its time to go."""
    now = clock.now()
    for approval in await key_admin.approvals(APPROVED_USER):
        if key_admin.in_force(approval) and approval.expires > now + APPROVAL_S / 2:
            return approval
    return await key_admin.approve(APPROVED_USER, OFFICERS, "the demo's approved user", now + APPROVAL_S, None)


def _limits(user: str, ceilings: Mapping[str, int]) -> str:
    rows = "".join(f"{name} = {value}\n" for name, value in ceilings.items())
    return f'\n[limits.users."{user}"]\n{rows}'


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
