"""One process of a running gateway: where that is reached, and how a child gets its settings, reports and ends.

`health` runs every few seconds in a container, so this module loads neither the HTTP server nor a store's client.
"""

from gateway.adapters import heartbeat, parent_watch
from gateway.adapters import system_user as users
from gateway.adapters.data_dir_lock import served_url
from gateway.adapters.supervisor import GRACE_S
from gateway.settings import Settings
from gateway.wiring import SetupError


def running_url(settings: Settings) -> str | None:
    """The URL of the gateway that runs on these settings, if it is ready."""
    return served_url(settings.data_dir)


def system_user() -> str:
    """The operating system's user of this process."""
    return users.system_user()


def receive_settings() -> Settings:
    """The settings that the supervisor gives to a worker; from here on the worker ends when the supervisor does."""
    settings = given_settings()
    exit_with_parent(settings.listen.lame_duck_s + settings.listen.drain_s + GRACE_S)
    return settings


def given_settings() -> Settings:
    """The settings on standard input, which is a pipe from the parent. SetupError where a person started this."""
    try:
        return Settings.model_validate_json(parent_watch.read_settings_line())
    except (EOFError, OSError, ValueError, AttributeError):
        raise SetupError("This process is started by `esm-gateway serve`, which gives it its settings.") from None


def report_ready(pipe: int) -> None:
    """To the supervisor, on the pipe that was inherited for this alone; from here on with a heartbeat."""
    heartbeat.start_beating(pipe)


def exit_with_parent(kill_after_s: float) -> None:
    """End when the parent does: by SIGTERM at once, by force after `kill_after_s`."""
    parent_watch.exit_with_parent(kill_after_s)
