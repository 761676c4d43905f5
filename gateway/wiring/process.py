"""One process of a running gateway: where that is reached, and how a child gets its settings, reports and ends.

`health` runs every few seconds in a container, so this module loads neither the HTTP server nor a store's client.
"""

from gateway.adapters import heartbeat, parent_watch
from gateway.adapters.data_dir_lock import served_url
from gateway.adapters.supervisor import GRACE_S
from gateway.settings import Settings


def running_url(settings: Settings) -> str | None:
    """The URL of the gateway that runs on these settings, if it is ready."""
    return served_url(settings.data_dir)


def receive_settings() -> Settings:
    """The settings that the supervisor gives to a worker; from here on the worker ends when the supervisor does."""
    settings = Settings.model_validate_json(parent_watch.read_settings_line())
    exit_with_parent(settings.listen.lame_duck_s + settings.listen.drain_s + GRACE_S)
    return settings


def report_ready(pipe: int) -> None:
    """To the supervisor, on the pipe that was inherited for this alone; from here on with a heartbeat."""
    heartbeat.start_beating(pipe)


def exit_with_parent(kill_after_s: float) -> None:
    """End when the parent does: by SIGTERM at once, by force after `kill_after_s`."""
    parent_watch.exit_with_parent(kill_after_s)
