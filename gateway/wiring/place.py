"""Where the gateway that runs on a data directory is reached. Starts nothing and opens no store."""

from gateway.adapters.data_dir_lock import served_url
from gateway.settings import Settings


def served_at(settings: Settings) -> str | None:
    """The address of the gateway that runs on these settings, if one does and serves."""
    return served_url(settings.data_dir)
