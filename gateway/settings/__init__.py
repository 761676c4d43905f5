"""The settings, from one TOML file, `GATEWAY_*` variables and secret files.

The only part of the gateway that reads the environment. It starts nothing and connects to nothing.
"""

from gateway.settings.errors import InvalidSettings, SettingError
from gateway.settings.load import Loaded, environment, load, load_here, read
from gateway.settings.model import Settings
from gateway.settings.reference import values
from gateway.settings.secret_files import master_secret, read_secret, signing_key, write_secret
from gateway.settings.upstream import UpstreamKeySettings

__all__ = [
    "InvalidSettings",
    "Loaded",
    "SettingError",
    "Settings",
    "UpstreamKeySettings",
    "environment",
    "load",
    "load_here",
    "master_secret",
    "read",
    "read_secret",
    "signing_key",
    "values",
    "write_secret",
]
