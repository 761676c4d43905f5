"""This program as a process: how it is started again for a part of the gateway, and how one that serves ends.

It opens nothing and serves nothing itself.
"""

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path

import click

import gateway
from gateway.cli.options import CommandError, run
from gateway.wiring.trouble import SetupError


def program(*words: str) -> Sequence[str]:
    """This very program again: from where it was loaded, not from whatever the working directory holds (-P)."""
    elsewhere = () if Path(gateway.__file__).parents[1] == Path.cwd() else ("-P",)
    return (sys.executable, *elsewhere, "-m", "gateway", *words)


def worker_command(slot: int, listener: int, ready: int) -> Sequence[str]:
    """How a worker is started: this very program, with what it inherits."""
    return program("worker", "--slot", str(slot), "--listener", str(listener), "--ready", str(ready))


def run_until_signal(work: Awaitable[int]) -> int:
    """The exit status; a start that a signal undid has ended well."""
    try:
        return run(work)
    except asyncio.CancelledError:
        return 0
    except SetupError as error:
        raise CommandError(str(error)) from None


def say(sentence: str) -> None:
    """To the operator, on standard error."""
    click.echo(f"esm-gateway: {sentence}", err=True)
