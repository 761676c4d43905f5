"""The only place that knows every concrete class: from settings to a running worker, or to the parts of a command.

What is named here is loaded when it is asked for: `health`, which containers run every few seconds, needs one small
module of this package and neither the HTTP server nor the stores' clients.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.wiring.assembly import Adapters, Flow, assemble, key_pepper
    from gateway.wiring.command_services import CommandServices, open_services
    from gateway.wiring.worker import run_worker

__all__ = ["Adapters", "CommandServices", "Flow", "assemble", "key_pepper", "open_services", "run_worker"]

_HOMES: Mapping[str, str] = {
    "Flow": "assembly",
    "Adapters": "assembly",
    "assemble": "assembly",
    "key_pepper": "assembly",
    "CommandServices": "command_services",
    "open_services": "command_services",
    "run_worker": "worker",
}


def __getattr__(name: str) -> Any:
    """A name's value from the module that holds it (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
