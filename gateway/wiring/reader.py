"""The reader process of a worker: what it is given, and what it runs."""

import socket
from collections.abc import Callable

from gateway.adapters.parent_watch import exit_with_parent
from gateway.adapters.reader_child import serve
from gateway.adapters.reader_process import Command, ReaderProcess
from gateway.ports import Meter
from gateway.settings import Settings
from gateway.wiring.cache_config import parse_config
from gateway.wiring.process import given_settings


def reader_process(command: Command, settings: Settings, meter: Meter, report: Callable[[str], None]) -> ReaderProcess:
    """A worker's reader process, not started yet."""
    # No more than parsing needs: where the stores are does not belong beside a body that somebody made.
    asked = {"models", "request", "cache"}
    line = settings.model_dump_json(exclude_unset=True, include=asked).encode()
    return ReaderProcess(command, line, meter, report)


def run_reader(control: int, asked: int, told: int) -> None:
    """The process itself, until its worker ends."""
    rules = parse_config(given_settings())
    exit_with_parent(0.0)
    serve(socket.socket(fileno=control), asked, told, rules)
