"""The only place that knows every concrete class: from settings to a running worker, or to the parts of a command."""

from gateway.wiring.assembly import Flow, World, assemble, pepper
from gateway.wiring.parts import Parts, open_parts
from gateway.wiring.worker import run_worker

__all__ = ["Flow", "Parts", "World", "assemble", "open_parts", "pepper", "run_worker"]
