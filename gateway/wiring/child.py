"""A process that another of ours started: its orders, how it says that it is ready, and its end with the starter.

The other end of each is in the supervisor of `serve` and in the demo, which hold its standard input open.
"""

import os

from gateway.adapters import parent_watch
from gateway.adapters.supervisor import GRACE_S, READY
from gateway.settings import Settings


def worker_settings() -> Settings:
    """The settings that the supervisor gives to a worker; from here on the worker ends when the supervisor does."""
    settings = Settings.model_validate_json(parent_watch.read_settings_line())
    parent_watch.exit_with_parent(settings.listen.drain_s + GRACE_S)
    return settings


def signal_ready(pipe: int) -> None:
    """To the supervisor, on the pipe that was inherited for this alone."""
    os.write(pipe, READY)
    os.close(pipe)


def exit_with_parent(patience_s: float) -> None:
    """End when the starter does: asked at once, by force after `patience_s`."""
    parent_watch.exit_with_parent(patience_s)
