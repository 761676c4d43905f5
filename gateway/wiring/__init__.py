"""The only place that knows every concrete class: from settings to a running worker, or to the parts of a command.

What is named here is loaded when it is asked for: `health`, which containers run every few seconds, needs one small
module of this package and neither the HTTP server nor the stores' clients.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.wiring.assembly import Flow, World, assemble, pepper
    from gateway.wiring.parts import Parts, open_parts
    from gateway.wiring.worker import run_worker

__all__ = ["Flow", "Parts", "World", "assemble", "open_parts", "pepper", "run_worker"]

_HOMES: Mapping[str, str] = {
    "Flow": "assembly",
    "World": "assembly",
    "assemble": "assembly",
    "pepper": "assembly",
    "Parts": "parts",
    "open_parts": "parts",
    "run_worker": "worker",
}


def __getattr__(name: str) -> Any:
    """A name's value from the module that holds it (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
